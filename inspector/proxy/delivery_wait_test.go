package proxy_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/proxy"
	"github.com/slackdev/slackdev/inspector/slack"
	"github.com/slackdev/slackdev/inspector/store/memory"
)

// inTime is a process in a bubble whose rule takes a delay.
func inTime(t *testing.T, a inspector.Answer) *process {
	a.By = "rule r"
	return newProcess(t, new(memory.Store), func(p *proxy.Proxy) {
		p.Answers = rule(func(*inspector.Exchange) *inspector.Answer { return &a })
	})
}

func TestWhoWaitsAgainIsWaitedFor(t *testing.T) {
	slow := inspector.Answer{Delay: 100 * time.Second, Response: &inspector.Response{Status: 202}}
	for name, tc := range map[string]struct {
		answer inspector.Answer
		joins  bool
		said   string
		took   time.Duration
		fault  string
	}{
		"an answer that takes its time": {slow, true, "202", 100 * time.Second, ""},
		"nobody comes again":            {slow, false, "502 app_answer_not_kept", 30 * time.Second, "nobody waited any more while rule r took its 1m40s"},
		"a rule that never answers":     {inspector.Answer{Fault: inspector.FaultTimeout}, true, "502 app_answer_not_kept", 30 * time.Second, "rule r gave no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := inTime(t, tc.answer)
				begin := time.Now()
				ctx, hangUp := context.WithCancel(t.Context())
				first := p.later(ctx, "x1", nil)
				synctest.Wait()
				hangUp()
				synctest.Wait()
				var second <-chan got
				if tc.joins {
					second = p.later(t.Context(), "x1", nil)
				}
				<-first
				if took := time.Since(begin); took != tc.took {
					t.Errorf("over after %v, want %v", took, tc.took)
				}
				if !tc.joins {
					second = p.later(t.Context(), "x1", nil)
				}
				if g := <-second; g.said() != tc.said {
					t.Errorf("got %+v, want %s", g, tc.said)
				}
				if x := p.only(t); x.Fault != tc.fault {
					t.Errorf("recorded fault %q, want %q", x.Fault, tc.fault)
				}
				p.Close()
			})
		})
	}
}

func TestWhoJoinsMayHangUpAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := inTime(t, inspector.Answer{Delay: time.Second, Response: &inspector.Response{Status: 202}})
		first := p.later(t.Context(), "x1", nil)
		synctest.Wait()
		ctx, hangUp := context.WithCancel(t.Context())
		second := p.later(ctx, "x1", nil)
		synctest.Wait()
		begin := time.Now()
		hangUp()
		if g := <-second; !g.cut || g.body != "" || time.Since(begin) != 0 {
			t.Errorf("who hung up got %+v after %v", g, time.Since(begin))
		}
		if g := <-first; g.status != 202 {
			t.Errorf("the first one got %+v", g)
		}
		p.Close()
	})
}

func TestLargeBodiesThatWaitLeaveRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := inTime(t, inspector.Answer{Delay: time.Second, Response: &inspector.Response{Status: 202}})
		body := command + "&pad=" + strings.Repeat("x", 300<<10) // there is room for 8 of them
		large := func(r *http.Request) {
			large, err := http.NewRequest(http.MethodPost, "http://a/", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			r.Body, r.ContentLength = large.Body, large.ContentLength
			at, signature := p.secret.Sign(p.at, []byte(body))
			r.Header.Set("X-Slack-Request-Timestamp", at)
			r.Header.Set("X-Slack-Signature", signature)
		}
		var all []<-chan got
		for range 20 {
			all = append(all, p.later(t.Context(), "x1", large))
			synctest.Wait()
		}
		all = append(all, p.later(t.Context(), "x2", large))
		for i, c := range all {
			if g := <-c; g.status != 202 {
				t.Errorf("%d got %+v", i, g)
			}
		}
		for _, x := range p.history(t) {
			if x.Verdict.Status != slack.Valid {
				t.Errorf("%s was not verified: %s", x.Delivery, x.Verdict.Detail)
			}
		}
		p.Close()
	})
}

// held is a Recorder that takes its time with what has a fault.
type held struct {
	inspector.Recorder
	open chan struct{}
}

func (h *held) Save(ctx context.Context, x *inspector.Exchange) error {
	if x.Fault != "" {
		<-h.open
	}
	return h.Recorder.Save(ctx, x)
}

func TestTheWholeBodyComesOnRecordAfterTheHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := inTime(t, inspector.Answer{Response: &inspector.Response{Status: 202}})
		recorder := &held{p, make(chan struct{})}
		p.Recorder = recorder
		half := p.later(t.Context(), "x1", tear)
		synctest.Wait()
		whole := p.later(t.Context(), "x1", nil)
		synctest.Wait()
		close(recorder.open)
		if g := <-half; g.status != 400 {
			t.Errorf("half a body got %+v", g)
		}
		if g := <-whole; g.status != 202 {
			t.Errorf("the whole one got %+v", g)
		}
		if x := p.only(t); x.Fault != "" || x.Response.Status != 202 {
			t.Errorf("recorded %+v, fault %q", x.Response, x.Fault)
		}
		p.Close()
	})
}
