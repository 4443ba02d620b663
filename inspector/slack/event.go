package slack

// event is the inner event of an event_callback. Its fields are those of all types
// together: who, where and which message are spelled in a dozen ways.
type event struct {
	kind, subtype, text, ts, messageTS, deletedTS, threadTS token
	userID, channelID, botID, botName, trigger, callback    token
	team, reaction, tab, fileID, name                       token

	user, channel, by party
	message, previous message
	item              message
	view              view
	function          token
	link              token
	thread            thread
}

func (e *event) readAll(s *scanner) {
	for in := s.object(); in; in = s.more('}') {
		e.read(s, s.key())
	}
}

func (e *event) read(s *scanner, key []byte) {
	switch string(key) {
	case "type":
		e.kind = s.value()
	case "subtype":
		e.subtype = s.value()
	case "text":
		e.text = s.value()
	case "ts":
		e.ts = s.value()
	case "message_ts":
		e.messageTS = s.value()
	case "deleted_ts":
		e.deletedTS = s.value()
	case "thread_ts":
		e.threadTS = s.value()
	case "user_id":
		e.userID = s.value()
	case "channel_id", "new_channel_id":
		e.channelID = s.value()
	case "bot_id":
		e.botID = s.value()
	case "username":
		e.botName = s.value()
	case "trigger_id":
		e.trigger = s.value()
	case "callback_id":
		e.callback = s.value()
	case "team", "team_id":
		e.team = s.value()
	case "reaction":
		e.reaction = s.value()
	case "tab":
		e.tab = s.value()
	case "file_id":
		e.fileID = s.value()
	case "name":
		e.name = s.value()
	default:
		e.readParts(s, key)
	}
}

// readParts reads the values that may be objects or arrays.
func (e *event) readParts(s *scanner, key []byte) {
	switch string(key) {
	case "user":
		e.user = readParty(s)
	case "channel":
		e.channel = readParty(s)
	case "message":
		e.message = readMessage(s)
	case "previous_message":
		e.previous = readMessage(s)
	case "item":
		e.item = readMessage(s)
	case "view":
		e.view = readView(s)
	case "function":
		e.function = readCallback(s)
	case "inviting_user", "accepting_user", "approving_user", "requesting_user":
		e.by = readParty(s)
	case "invite", "app_request":
		e.readInvite(s)
	case "assistant_thread":
		e.thread = readThread(s)
	case "links":
		e.readLinks(s)
	default:
		s.skip()
	}
}

func (e *event) readInvite(s *scanner) {
	for in := s.object(); in; in = s.more('}') {
		switch string(s.key()) {
		case "inviting_user", "user":
			if p := readParty(s); e.by == (party{}) {
				e.by = p
			}
		default:
			s.skip()
		}
	}
}

func (e *event) readLinks(s *scanner) {
	for in := s.array(); in; in = s.more(']') {
		for link := s.object(); link; link = s.more('}') {
			if string(s.key()) != "url" {
				s.skip()
			} else if t := s.value(); e.link.empty() {
				e.link = t
			}
		}
	}
}

// thread is a conversation with an assistant.
type thread struct{ user, channel, ts token }

func readThread(s *scanner) thread {
	var t thread
	for in := s.object(); in; in = s.more('}') {
		switch string(s.key()) {
		case "user_id":
			t.user = s.value()
		case "channel_id":
			t.channel = s.value()
		case "thread_ts":
			t.ts = s.value()
		default:
			s.skip()
		}
	}
	return t
}

// parseEvent reads a JSON body. An envelope that lost its type but holds an event is
// still an event's.
func parseEvent(body []byte) Payload {
	var f facts
	f.readAll(body)
	g := summary{src: body}
	p := Payload{Kind: Unknown, Problem: f.problem}
	t := g.text(f.kind)
	switch {
	case string(t) == string(EventCallback), f.kind.empty() && f.hasEvent:
		p.Kind = EventCallback
		p.Problem = f.eventProblem()
		f.summariseEvent(&g)
	case string(t) == string(URLVerification):
		p.Kind = URLVerification
		g.set(challenge, f.challenge)
	case string(t) == string(AppRateLimited):
		p.Kind = AppRateLimited
	default:
		g.set(nameOf, f.kind)
		if p.Problem == "" {
			p.Problem = f.misplaced(t)
		}
	}
	f.envelopeParties(&g)
	g.fill(&p)
	return p
}

func (f *facts) eventProblem() string {
	switch {
	case f.problem != "":
		return f.problem
	case !f.hasEvent:
		return "the envelope holds no event"
	case f.kind.empty():
		return "the envelope has no type"
	}
	return ""
}

// misplaced names the reason why well-formed JSON is none of Slack's, where that is known.
func (f *facts) misplaced(t []byte) string {
	switch {
	case !f.envelope.empty():
		return "this is an envelope of Socket Mode, which never comes over HTTP"
	case interactionKind(t) != Unknown:
		return "Slack sends " + string(t) + " as the field payload of a form, not as a JSON body"
	}
	return ""
}

func (f *facts) summariseEvent(g *summary) {
	e := &f.event
	g.set(nameOf, e.kind)
	g.subtype = e.subtype
	e.summariseUser(g)
	g.set(channelID, e.channel.id, e.channelID, e.item.channel, e.thread.channel)
	g.set(channelName, e.channel.name)
	g.set(messageTS, e.item.ts, e.message.ts, e.deletedTS, e.messageTS, e.ts, e.threadTS, e.thread.ts)
	g.set(textOf, e.text, e.message.text, e.reaction, e.link, e.item.text, e.previous.text,
		e.function, e.callback, e.tab, e.fileID, e.name)
	g.set(eventID, f.eventID)
	g.set(triggerID, e.trigger)
	g.set(viewID, e.view.id)
}

// summariseUser finds who did it. A name counts only beside its own id.
func (e *event) summariseUser(g *summary) {
	switch {
	case !e.user.id.empty():
		g.set(userID, e.user.id)
		g.set(userName, e.user.name, e.user.handle)
		return
	case !e.by.id.empty():
		g.set(userID, e.by.id)
		g.set(userName, e.by.name)
		return
	}
	person := firstOf(e.userID, e.message.user, e.previous.user, e.thread.user, e.channel.creator)
	g.set(userID, person, e.botID, e.message.bot, e.previous.bot)
	if person.empty() {
		g.set(userName, e.botName)
	}
}

// envelopeParties says where an event happened; an envelope that does not say it
// names the installation for which it is. Team and enterprise come from one place,
// because in a shared channel the two places are two companies.
func (f *facts) envelopeParties(g *summary) {
	team, enterprise := f.teamID, f.enterpriseID
	if team.empty() && enterprise.empty() {
		team, enterprise = f.contextTeam, f.contextEnt
	}
	if team.empty() && enterprise.empty() {
		team, enterprise = f.installed.team, f.installed.enterprise
	}
	g.set(teamID, team, f.event.team, f.event.user.team, enterprise)
	g.set(enterpriseID, enterprise)
	g.set(appID, f.app)
}
