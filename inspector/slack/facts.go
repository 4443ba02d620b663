package slack

import "bytes"

// facts are the values of a JSON document that say what it is and whom it is about:
// an event with its envelope, or the payload of an interaction. Which of them count
// depends on a type that may stand at the end, so all of them are noted on the way;
// they are positions and cost nothing. Of a key that stands twice the last counts.
type facts struct {
	kind, token, challenge                             token
	teamID, contextTeam, enterpriseID, contextEnt, app token
	eventID, trigger, callback, action, name, value    token
	messageTS, envelope                                token

	user, channel, team, enterprise party
	message, original               message
	container                       container
	view                            view
	first                           element // of actions
	submission                      token   // the first value of a dialog
	function                        function
	installed                       party // the first of authorizations
	event                           event

	hasEvent bool
	problem  string
}

// readAll reads a document as far as it is well-formed.
func (f *facts) readAll(doc []byte) {
	s := scanner{src: doc}
	if s.peek() != '{' {
		s.skip()
		s.fail(0, "the document is not an object")
	}
	for in := s.object(); in; in = s.more('}') {
		f.read(&s, s.key())
	}
	s.end()
	f.problem = s.problem()
}

func (f *facts) read(s *scanner, key []byte) {
	switch string(key) {
	case "type":
		f.kind = s.value()
	case "token":
		f.token = s.value()
	case "challenge":
		f.challenge = s.value()
	case "team_id":
		f.teamID = s.value()
	case "context_team_id":
		f.contextTeam = s.value()
	case "enterprise_id":
		f.enterpriseID = s.value()
	case "context_enterprise_id":
		f.contextEnt = s.value()
	case "api_app_id":
		f.app = s.value()
	case "event_id":
		f.eventID = s.value()
	case "trigger_id":
		f.trigger = s.value()
	case "callback_id":
		f.callback = s.value()
	case "action_id":
		f.action = s.value()
	case "name":
		f.name = s.value()
	case "value":
		f.value = s.value()
	case "message_ts":
		f.messageTS = s.value()
	case "envelope_id":
		f.envelope = s.value()
	default:
		f.readParts(s, key)
	}
}

// readParts reads the values that are objects or arrays.
func (f *facts) readParts(s *scanner, key []byte) {
	switch string(key) {
	case "event":
		f.hasEvent = s.peek() == '{'
		f.event = event{}
		f.event.readAll(s)
	case "user":
		f.user = readParty(s)
	case "channel":
		f.channel = readParty(s)
	case "team":
		f.team = readParty(s)
	case "enterprise":
		f.enterprise = readParty(s)
	case "message":
		f.message = readMessage(s)
	case "original_message":
		f.original = readMessage(s)
	case "container":
		f.container = readContainer(s)
	case "view":
		f.view = readView(s)
	case "actions":
		for in := s.array(); in; in = s.more(']') {
			if e := readElement(s); f.first == (element{}) {
				f.first = e
			}
		}
	case "submission":
		for in := s.object(); in; in = s.more('}') {
			s.key()
			if t := s.value(); f.submission.empty() {
				f.submission = t
			}
		}
	case "authorizations":
		for in := s.array(); in; in = s.more(']') {
			if a := readParty(s); f.installed == (party{}) {
				f.installed = a
			}
		}
	case "function_data", "interactivity":
		f.function.read(s)
	default:
		s.skip()
	}
}

// party is a user, a channel, a team or an enterprise: an id alone, or an object.
type party struct {
	id, name, handle, team, enterprise, enterpriseName, creator token
}

func readParty(s *scanner) party {
	if s.peek() != '{' {
		t := s.value()
		if t.how == literal {
			return party{}
		}
		return party{id: t}
	}
	var p party
	for in := s.object(); in; in = s.more('}') {
		switch string(s.key()) {
		case "id":
			p.id = s.value()
		case "name":
			p.name = s.value()
		case "username", "domain":
			p.handle = s.value()
		case "team_id":
			p.team = s.value()
		case "enterprise_id":
			p.enterprise = s.value()
		case "enterprise_name":
			p.enterpriseName = s.value()
		case "creator":
			p.creator = s.value()
		default:
			s.skip()
		}
	}
	return p
}

// message is what a request says about a message, or the item of a reaction or pin.
type message struct{ user, text, ts, bot, channel token }

func readMessage(s *scanner) message {
	var m, inner message
	for in := s.object(); in; in = s.more('}') {
		switch string(s.key()) {
		case "user":
			m.user = s.value()
		case "text":
			m.text = s.value()
		case "ts":
			m.ts = s.value()
		case "bot_id":
			m.bot = s.value()
		case "channel":
			m.channel = s.value()
		case "message":
			inner = readMessage(s)
		default:
			s.skip()
		}
	}
	if m.ts.empty() {
		m.ts, m.text = inner.ts, inner.text
	}
	return m
}

// container says where a pressed element stands.
type container struct{ messageTS, channelID, viewID token }

func readContainer(s *scanner) container {
	var c container
	for in := s.object(); in; in = s.more('}') {
		switch string(s.key()) {
		case "message_ts":
			c.messageTS = s.value()
		case "channel_id":
			c.channelID = s.value()
		case "view_id":
			c.viewID = s.value()
		default:
			s.skip()
		}
	}
	return c
}

// view is a modal or a Home tab; value is the first input in it that is not empty.
type view struct{ id, callback, title, value token }

func readView(s *scanner) view {
	var v view
	for in := s.object(); in; in = s.more('}') {
		switch string(s.key()) {
		case "id":
			v.id = s.value()
		case "callback_id":
			v.callback = s.value()
		case "title":
			v.title = readText(s)
		case "state":
			v.value = readState(s)
		default:
			s.skip()
		}
	}
	return v
}

// readState finds the first value that is not empty in state.values.BLOCK.ACTION.
func readState(s *scanner) (first token) {
	for state := s.object(); state; state = s.more('}') {
		if string(s.key()) != "values" {
			s.skip()
			continue
		}
		for blocks := s.object(); blocks; blocks = s.more('}') {
			s.key()
			for actions := s.object(); actions; actions = s.more('}') {
				s.key()
				if e := readElement(s); first.empty() {
					first = e.chosen()
				}
			}
		}
	}
	return first
}

// readText reads a text object, or a text.
func readText(s *scanner) (text token) {
	if s.peek() != '{' {
		return s.value()
	}
	for in := s.object(); in; in = s.more('}') {
		if string(s.key()) == "text" {
			text = s.value()
		} else {
			s.skip()
		}
	}
	return text
}

// element is an interactive element with what was pressed, picked or typed.
type element struct{ action, name, value, selected, label token }

// chosen is what the user gave: a value, or the option that was picked.
func (e element) chosen() token {
	if e.value.empty() {
		return e.selected
	}
	return e.value
}

func readElement(s *scanner) element {
	var e element
	for in := s.object(); in; in = s.more('}') {
		key := s.key()
		switch string(key) {
		case "action_id":
			e.action = s.value()
		case "name":
			e.name = s.value()
		case "value":
			e.value = s.value()
		case "text":
			e.label = readText(s)
		default:
			if !bytes.HasPrefix(key, []byte("selected_")) {
				s.skip()
			} else if t := readSelected(s); !t.empty() {
				e.selected = t
			}
		}
	}
	return e
}

// readSelected reads selected_option, selected_users, selected_date and their kin:
// an id, an option, or a list of either, of which the first counts.
func readSelected(s *scanner) (first token) {
	switch s.peek() {
	case '[':
		for in := s.array(); in; in = s.more(']') {
			if t := readSelected(s); first.empty() {
				first = t
			}
		}
		return first
	case '{':
		var text, value token
		for in := s.object(); in; in = s.more('}') {
			switch string(s.key()) {
			case "text":
				text = readText(s)
			case "value":
				value = s.value()
			default:
				s.skip()
			}
		}
		if value.empty() {
			return text
		}
		return value
	}
	return s.value()
}

// function is what an interaction in a workflow's function adds: function_data and
// interactivity, whose keys do not meet.
type function struct{ callback, user, pointer token }

func (f *function) read(s *scanner) {
	for in := s.object(); in; in = s.more('}') {
		switch string(s.key()) {
		case "function":
			f.callback = readCallback(s)
		case "interactor":
			f.user = readParty(s).id
		case "interactivity_pointer":
			f.pointer = s.value()
		default:
			s.skip()
		}
	}
}

func readCallback(s *scanner) (callback token) {
	for in := s.object(); in; in = s.more('}') {
		if string(s.key()) == "callback_id" {
			callback = s.value()
		} else {
			s.skip()
		}
	}
	return callback
}
