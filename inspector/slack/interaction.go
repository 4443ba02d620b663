package slack

// interactionKind is the kind of a payload with that type, Unknown where there is
// none (docs.slack.dev/reference/interaction-payloads). The same word stands for a
// pressed legacy button and for a legacy menu that asks for options.
func interactionKind(t []byte) Kind {
	for _, k := range [...]Kind{BlockActions, BlockSuggestion, ViewSubmission, ViewClosed, Shortcut, MessageAction,
		InteractiveMessage, DialogSubmission, DialogCancellation, DialogSuggestion, WorkflowStepEdit} {
		if string(t) == string(k) {
			return k
		}
	}
	return Unknown
}

// parseInteraction reads the decoded payload field of a form.
func parseInteraction(doc []byte) Payload {
	var f facts
	f.readAll(doc)
	g := summary{src: doc}
	p := Payload{Kind: interactionKind(g.text(f.kind))}
	if f.problem != "" {
		p.Problem = "payload: " + f.problem
	}
	switch p.Kind {
	case Unknown:
		g.set(nameOf, f.kind)
	case BlockActions:
		g.set(nameOf, f.first.action, f.function.callback)
		g.set(textOf, f.first.chosen(), f.first.label)
	case BlockSuggestion:
		g.set(nameOf, f.action)
		g.set(textOf, f.value)
	case ViewSubmission, ViewClosed:
		g.set(nameOf, f.view.callback)
		g.set(textOf, f.view.value, f.view.title)
	case InteractiveMessage:
		g.set(nameOf, f.callback, f.first.name, f.name)
		g.set(textOf, f.first.chosen(), f.value, f.first.name)
	case DialogSubmission:
		g.set(nameOf, f.callback)
		g.set(textOf, f.submission)
	case MessageAction:
		g.set(nameOf, f.callback)
		g.set(textOf, f.message.text)
	default: // shortcut, dialog_cancellation, dialog_suggestion, workflow_step_edit
		g.set(nameOf, f.callback)
		g.set(textOf, f.value)
	}
	f.parties(&g)
	g.fill(&p)
	return p
}

// parties says who pressed what, and where.
func (f *facts) parties(g *summary) {
	g.set(userID, f.user.id, f.function.user)
	g.set(userName, f.user.name, f.user.handle)
	g.set(channelID, f.channel.id, f.container.channelID)
	g.set(channelName, f.channel.name)
	g.set(triggerID, f.trigger, f.function.pointer)
	g.set(viewID, f.view.id, f.container.viewID)
	g.set(messageTS, f.container.messageTS, f.messageTS, f.message.ts, f.original.ts)
	g.set(appID, f.app)

	org, orgName := firstOf(f.enterprise.id, f.team.enterprise, f.enterpriseID), firstOf(f.enterprise.name, f.team.enterpriseName)
	g.set(enterpriseID, org)
	g.set(enterpriseName, orgName)
	switch {
	case !f.team.id.empty():
		g.set(teamID, f.team.id)
		g.set(teamName, f.team.handle, f.team.name)
	case !f.teamID.empty(), !f.user.team.empty():
		g.set(teamID, f.teamID, f.user.team)
	default:
		g.set(teamID, org)
		g.set(teamName, orgName)
	}
}

// firstOf gives the first token that has a text.
func firstOf(choices ...token) token {
	for _, t := range choices {
		if !t.empty() {
			return t
		}
	}
	return token{}
}
