package slack

import "bytes"

// fields are the values of a form that say what it is and whom it is about.
type fields struct {
	token, sslCheck, payload, command, triggerWord token

	teamID, teamDomain, enterpriseID, enterpriseName  token
	channelID, channelName, userID, userName          token
	text, timestamp, threadTS, app, triggerID, unused token
}

// readFields reads a form; of a name that stands twice the last value counts.
func readFields(body []byte) fields {
	var f fields
	for p := (pairs{src: body}); p.next(); {
		*f.field(p.name()) = p.pair.value
	}
	return f
}

func (f *fields) field(name []byte) *token {
	switch string(name) {
	case "token":
		return &f.token
	case "ssl_check":
		return &f.sslCheck
	case "payload":
		return &f.payload
	case "command":
		return &f.command
	case "trigger_word":
		return &f.triggerWord
	case "team_id":
		return &f.teamID
	case "team_domain":
		return &f.teamDomain
	case "enterprise_id":
		return &f.enterpriseID
	case "enterprise_name":
		return &f.enterpriseName
	case "channel_id":
		return &f.channelID
	case "channel_name":
		return &f.channelName
	case "user_id":
		return &f.userID
	case "user_name":
		return &f.userName
	case "text":
		return &f.text
	case "timestamp":
		return &f.timestamp
	case "thread_ts":
		return &f.threadTS
	case "api_app_id":
		return &f.app
	case "trigger_id":
		return &f.triggerID
	}
	return &f.unused
}

// kind says what a form without a payload is, apart from an ssl_check.
func (f *fields) kind() Kind {
	hook := !f.token.empty() && !f.teamID.empty() && !f.channelID.empty() &&
		!f.timestamp.empty() && !f.userID.empty()
	switch {
	case !f.command.empty():
		return SlashCommand
	case !f.triggerWord.empty(), hook: // a hook bound to a channel has no trigger word
		return OutgoingWebhook
	}
	return Unknown
}

// parseForm reads what arrives as a form: everything but events. A check for TLS
// comes first, because it is answered without a look at anything else in it.
func parseForm(body []byte) Payload {
	body = trimStart(body)
	f := readFields(body)
	var p Payload
	checked := false
	if f.payload.empty() {
		p = f.summarise(body)
	} else {
		doc := decodedField(body, f.payload)
		p = parseInteraction(doc)
		// Every escape takes two bytes away; where that many are gone, all were escapes.
		raw := body[f.payload.from:]
		checked = f.payload.to == len(body) && len(doc) == len(raw)-2*bytes.Count(raw, []byte{'%'})
		checked = checked && f.payload.from == len("payload=")
	}
	if p.Problem == "" && !checked {
		p.Problem = checkForm(body)
	}
	if f.isSSLCheck(body) {
		if p.Kind != Unknown {
			p.Carries = p.Kind
		}
		p.Kind = SSLCheck
	}
	return p
}

// isSSLCheck wants exactly 1, as the documentation has it.
func (f *fields) isSSLCheck(body []byte) bool {
	return string(decodedField(body, f.sslCheck)) == "1"
}

func (f *fields) summarise(body []byte) Payload {
	g := summary{src: body}
	p := Payload{Kind: f.kind()}
	if p.Kind == Unknown {
		return p
	}
	g.set(nameOf, f.command, f.triggerWord)
	g.set(userID, f.userID)
	g.set(userName, f.userName)
	g.set(channelID, f.channelID)
	g.set(channelName, f.channelName)
	g.set(teamID, f.teamID, f.enterpriseID)
	if f.teamID.empty() {
		f.teamDomain = f.enterpriseName
	}
	g.set(teamName, f.teamDomain)
	g.set(enterpriseID, f.enterpriseID)
	g.set(enterpriseName, f.enterpriseName)
	g.set(appID, f.app)
	g.set(triggerID, f.triggerID)
	g.set(textOf, f.text)
	if p.Kind == OutgoingWebhook {
		g.set(messageTS, f.timestamp)
	}
	g.fill(&p)
	return p
}

// decodedField is the whole decoded value of t: a part of body where that is spelled
// plainly, a copy where it is not.
func decodedField(body []byte, t token) []byte {
	raw := body[t.from:t.to]
	if t.how != encoded {
		return raw
	}
	room := max(len(raw)-2*bytes.Count(raw, []byte{'%'}), len(raw)/3) // exact where every % begins an escape
	return appendDecoded(make([]byte, 0, room), raw, len(raw))
}
