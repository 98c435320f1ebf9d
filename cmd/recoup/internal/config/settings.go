package config

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/audit/incident"
	"github.com/recoup-gateway/recoup/pricing"
)

// Settings is a configuration that was found valid.
type Settings struct {
	Listen      string // host:port
	AdminListen string // host:port
	Pprof       bool

	DataDir    string
	SyncWrites bool
	MinFree    int64 // bytes
	Retention  time.Duration

	LedgerRetention time.Duration

	EncryptionKeyFile string
	EncryptionKey     []byte // 32 bytes, or none
	AdminTokenFile    string
	AdminToken        string // empty: no file is configured

	LabelTags []string

	PriceFiles []string
	Prices     *pricing.Book // with the overlays of PriceFiles
	Incidents  incident.Rule // when breaks are one

	DrainTimeout time.Duration
	LogLevel     slog.Level
	LogFormat    string // text or json

	Gateway gateway.Config

	// Warnings are what an operator should know of, each in one line.
	Warnings []string
}

// defaults are the settings without any file, variable and flag.
func defaults() *Settings {
	s := &Settings{
		Listen:      "127.0.0.1:8484",
		AdminListen: "127.0.0.1:8485",
		DataDir:     "./recoup-data",
		MinFree:     512 << 20,
		Retention:   15 * time.Minute,

		LedgerRetention: 400 * 24 * time.Hour,

		DrainTimeout: 30 * time.Second,
		LogLevel:     slog.LevelInfo,
		LogFormat:    "text",
		Prices:       pricing.Embedded(),
		Incidents:    incident.DefaultRule(),
		Gateway:      gateway.Defaults(),
	}
	s.Gateway.Providers = defaultProviders()
	return s
}

// Changes compares two configurations, key by key: those that a running
// gateway can take over, and those that need a restart.
func Changes(from, to *Settings) (reloads, restarts []string) {
	for _, k := range keys {
		switch {
		case k.kind.same(from, to):
		case k.reloads:
			reloads = append(reloads, k.name)
		default:
			restarts = append(restarts, k.name)
		}
	}
	return reloads, restarts
}

// check looks for combinations that can't work. Each value alone was found to
// be all right before.
func (l *loading) check() {
	s := l.settings
	if overlap(s.Listen, s.AdminListen) {
		l.refuse("admin_listen", fmt.Sprintf("%s takes the same port as listen, %s (%s): want another port", s.AdminListen, s.Listen, l.origins["listen"]))
	}
	if grace := s.Gateway.OrphanGrace; s.Retention < grace {
		l.refuse("retention", fmt.Sprintf("%s is shorter than orphan_grace, %s (%s): want at least as much",
			formatDuration(s.Retention), formatDuration(grace), l.origins["orphan_grace"]))
	}
	if share := s.Incidents.Share; share > 100 {
		l.refuse("incident_share", fmt.Sprintf("%d: want per cent, at most 100", share))
	}
	l.readSecrets()
	l.recognise()
	l.readAPIKeys()
	l.readPrices()
	l.makeSigners()
	if len(l.problems) > 0 {
		return
	}
	if err := s.Gateway.Validate(); err != nil {
		key, text, _ := strings.Cut(err.Error(), ": ")
		if member, rest, ok := strings.Cut(text, ": "); ok && l.known(key+"."+member) {
			key, text = key+"."+member, rest
		}
		l.refuse(key, text)
	}
}

// AdminExposed reports whether others than this machine can reach the admin plane,
// which then must have a token.
func (s *Settings) AdminExposed() bool {
	host, _, _ := net.SplitHostPort(s.AdminListen)
	return !Loopback(host)
}

// overlap reports whether no two listeners can have a and b.
func overlap(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	return portA == portB && portA != "0" && (hostA == hostB || wildcard(hostA) || wildcard(hostB))
}

func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// Loopback reports whether only this machine can be host, or reach what listens there.
// What a name resolves to may change, so of names only localhost is trusted.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
