package inspector

// Query asks for a page of exchanges.
type Query struct {
	Before ID  // only older ones than this; zero: from the newest
	Limit  int // at most this many; 0: 100
	Where  []Term
}

// Term is one condition; an exchange must meet every term of a Query. Which of
// the values counts is said at each Key.
type Term struct {
	Key      Key
	Not      bool
	Values   []string // any of them fits
	Min, Max int64    // both inclusive
}

// Key is what a Term looks at.
type Key string

// The keys. Those with Values compare without regard to case, in full unless said
// otherwise; a value that ends in * fits what begins with the rest.
const (
	KeyKind     Key = "kind"
	KeyName     Key = "name"     // Slack.Name
	KeyUser     Key = "user"     // ID or name
	KeyChannel  Key = "channel"  // ID or name
	KeyTeam     Key = "team"     // ID or name
	KeyVerdict  Key = "verdict"  // the words of slack.Status
	KeyOrigin   Key = "origin"   //
	KeyMethod   Key = "method"   //
	KeyPath     Key = "path"     // the path fits when it begins with the value
	KeyBy       Key = "by"       // Response.By: app, slackdev, "rule NAME"
	KeyEvent    Key = "event"    // Slack.EventID
	KeyOf       Key = "of"       // the ID that it was made from
	KeyFinding  Key = "finding"  // a finding's code
	KeyText     Key = "text"     // see Text: each value is words, all of which must begin words of the text
	KeyStatus   Key = "status"   // Min, Max; an exchange without an answer has 0
	KeyElapsed  Key = "elapsed"  // Min, Max in milliseconds
	KeyRetry    Key = "retry"    // Min, Max of Slack.Retry
	KeyFault    Key = "fault"    // no values: there is a fault
	KeyPinned   Key = "pinned"   // no values
	KeyAnswered Key = "answered" // no values: there is a response
)
