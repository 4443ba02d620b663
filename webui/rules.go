package webui

import (
	"errors"
	"net/http"

	"github.com/slackdev/slackdev/replay/mock"
)

// listRules gives the rules in use, and what is wrong with their file.
func (s *Server) listRules(w http.ResponseWriter, _ *http.Request) error {
	answer := struct {
		File  string        `json:"file"`
		Error string        `json:"error"`
		Rules []mock.Listed `json:"rules"`
	}{Rules: []mock.Listed{}}
	if s.Rules != nil {
		answer.File, answer.Rules = s.Rules.File, s.Rules.List()
		if err := s.Rules.Err(); err != nil {
			answer.Error = err.Error()
		}
	}
	return reply(w, http.StatusOK, answer)
}

func (s *Server) addRule(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Rule *mock.Rule `json:"rule"`
	}
	if err := decode(r, &ask); err != nil {
		return err
	}
	if ask.Rule == nil {
		return badRequest("there is no rule in the body")
	}
	return s.changeRules(w, r, func() error { return s.Rules.Add(*ask.Rule) })
}

func (s *Server) deleteRule(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Name string `json:"name"`
	}
	if err := decode(r, &ask); err != nil {
		return err
	}
	return s.changeRules(w, r, func() error { return s.Rules.Remove(ask.Name) })
}

func (s *Server) changeRules(w http.ResponseWriter, r *http.Request, change func() error) error {
	if s.Rules == nil {
		return &refusal{http.StatusNotFound, "there is no file for rules", "slackdev tunnel PORT --rules slackdev.yaml"}
	}
	if err := change(); err != nil {
		return wrongRule(err)
	}
	s.Refresh(RulesChanged)
	return s.listRules(w, r)
}

// wrongRule is the answer to a change that was not made.
func wrongRule(err error) error {
	var mistakes mock.Mistakes
	switch {
	case errors.Is(err, mock.ErrNoRule):
		return &refusal{http.StatusNotFound, err.Error(), "slackdev mock list"}
	case errors.As(err, &mistakes):
		return &refusal{http.StatusBadRequest, err.Error(), mistakes[0].Fix}
	default:
		return err
	}
}
