package webui

import "net/http"

// Status is everything at a glance, in the words of docs/local-api.md. URLs and
// notices may be a stranger's words.
type Status struct {
	Version  string       `json:"version"`
	PID      int          `json:"pid"`
	Project  string       `json:"project"` // a folder
	LocalURL string       `json:"local_url"`
	AppURL   string       `json:"app_url"`
	Path     string       `json:"path"`    // where the app takes Slack's requests
	Tunnel   TunnelStatus `json:"tunnel"`  // the first
	App      AppStatus    `json:"app"`     // behind it
	Secrets  []string     `json:"secrets"` // names, never values
	Enforce  bool         `json:"enforce"`
	Store    StoreStatus  `json:"store"`
	Rules    RulesStatus  `json:"rules"`
	Seq      uint64       `json:"seq"`

	// Where there are several, all of them, the first one first.
	Tunnels []TunnelStatus   `json:"tunnels,omitempty"`
	Apps    []NamedAppStatus `json:"apps,omitempty"`
}

// TunnelStatus is where the tunnel is.
type TunnelStatus struct {
	State     string   `json:"state"` // connecting, up, down, waiting, or none
	Provider  string   `json:"provider"`
	URL       string   `json:"url"`
	Name      string   `json:"name"`
	Reachable string   `json:"reachable"` // local or public
	Error     string   `json:"error"`
	RetryInMS int64    `json:"retry_in_ms"`
	Notices   []string `json:"notices"`
}

// AppStatus is how the app was when it was last asked.
type AppStatus struct {
	Up    bool   `json:"up"`
	Error string `json:"error"`
}

// NamedAppStatus is one of several apps.
type NamedAppStatus struct {
	Name string `json:"name"` // of its tunnel, or the path of its route; "": the first
	URL  string `json:"url"`
	AppStatus
}

// StoreStatus is how much history there is, and where.
type StoreStatus struct {
	Path      string `json:"path"`
	Exchanges int    `json:"exchanges"`
	Bytes     int64  `json:"bytes"`
	Error     string `json:"error"`
}

// RulesStatus is how many rules there are, and what is wrong with their file.
type RulesStatus struct {
	File  string `json:"file"`
	Count int    `json:"count"`
	Error string `json:"error"`
}

// readStatus asks s.Status, and adds what the server knows better: the store's size,
// the rules, and seq.
func (s *Server) readStatus(w http.ResponseWriter, r *http.Request) error {
	var status Status
	seq := s.Journal.Seq()
	if s.Status != nil {
		status = s.Status(r.Context())
	}
	status.Seq = seq
	usage, err := s.Journal.Store.Usage(r.Context())
	if err != nil {
		status.Store.Error = err.Error()
	}
	status.Store.Exchanges, status.Store.Bytes = usage.Exchanges, usage.Bytes
	if s.Rules != nil {
		status.Rules.File, status.Rules.Count = s.Rules.File, len(s.Rules.List())
		if err := s.Rules.Err(); err != nil {
			status.Rules.Error = err.Error()
		}
	}
	if status.Tunnel.Notices == nil {
		status.Tunnel.Notices = []string{}
	}
	for i := range status.Tunnels {
		if status.Tunnels[i].Notices == nil {
			status.Tunnels[i].Notices = []string{}
		}
	}
	if status.Secrets == nil {
		status.Secrets = []string{}
	}
	return reply(w, http.StatusOK, status)
}
