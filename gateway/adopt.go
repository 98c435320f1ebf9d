package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// Adoption: a call without a key continues an orphan of the same content, where
// the call is marked as one that may, or the operator says that all may. What
// makes it safe is that an orphan has no owner, and gets one under its lock: of
// any number of equal calls, one has it.

// What a call can say in Recoup-Resume.
const (
	resumeAuto  = "auto"
	resumeNever = "never"
)

// errNoOrphan says that a stream can't be adopted: it has an owner, or no use.
var errNoOrphan = errors.New("gateway: the stream is no orphan")

// readResume finds whether a call may continue an orphan of the same content, and
// whether somebody could continue its own.
func (call *call) readResume(h http.Header, setting Resume) error {
	said := ownHeader(h, "Recoup-Resume")
	if said != "" && said != resumeAuto && said != resumeNever {
		return badRequest("invalid_resume", "Recoup-Resume: want auto or never.")
	}
	call.never = said == resumeNever
	if call.never || setting == ResumeOff {
		return nil
	}
	auto := setting == ResumeAuto || said == resumeAuto
	switch n, ok := retryCount(h); {
	case ok && n > 0: // an SDK says that it repeats a call of its own
		call.adopt = viaRetry
	case auto:
		call.adopt = viaAuto
	}
	call.header.Policy.Reclaimable = call.header.Policy.Reclaimable || auto
	return nil
}

// retryCount is how often an SDK says that it has made a call before. AWS's count the
// attempts: "attempt=2; max=3".
func retryCount(h http.Header) (n int, ok bool) {
	if n, err := strconv.Atoi(strings.TrimSpace(h.Get("X-Stainless-Retry-Count"))); err == nil {
		return n, true
	}
	attempt, _, _ := strings.Cut(h.Get("Amz-Sdk-Request"), ";")
	n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(attempt), "attempt="))
	return n - 1, err == nil
}

// adopt connects to the newest orphan that the call may continue; nil: there is
// none.
func (g *Gateway) adopt(c echo.Context, call *call) (*connection, error) {
	if call.adopt == "" {
		return nil, nil
	}
	h := &call.header
	for _, b := range g.missed.of(h) {
		if b.dead || !b.serves(h) {
			continue
		}
		l, err := g.log.Get(h.Principal, b.id)
		if errors.Is(err, streamlog.ErrExpired) || errors.Is(err, streamlog.ErrNotFound) || errors.Is(err, streamlog.ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, logError(err)
		}
		s, err := g.hold(l)
		if errors.Is(err, streamlog.ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, logError(err)
		}
		conn, err := g.connect(c, &connection{stream: s, via: call.adopt, whole: s.header.Streamed && !h.Streamed})
		if !errors.Is(err, errNoOrphan) {
			return conn, err
		}
	}
	return nil, nil
}

// whyNew is why a call that may continue an earlier one of the same content makes
// a stream of its own: what the newest of those is. Empty: there is none.
func (g *Gateway) whyNew(call *call) (reason string, err error) {
	l, err := g.log.ByCall(call.header.Principal, call.header.Fingerprint)
	switch {
	case errors.Is(err, streamlog.ErrNotFound):
		return "", nil
	case errors.Is(err, streamlog.ErrExpired):
		return reasonExpired, nil
	case errors.Is(err, streamlog.ErrDamaged):
		return reasonEnded, nil
	case err != nil:
		return "", logError(err)
	}
	defer l.Release()
	s := g.running(l.Header().ID)
	if s == nil {
		return reasonEnded, nil
	}
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner := s.owner(); owner != nil && !owner.terminal.Load() && s.stopped == "" {
		return reasonAttached, nil
	}
	return reasonEnded, nil
}

// adopts reports whether the connection's call did not name its stream.
func (cn *connection) adopts() bool { return cn.via == viaRetry || cn.via == viaAuto }

// canBeAdopted is adoptable for who doesn't hold the lock.
func (s *stream) canBeAdopted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.adoptable()
}

// adoptable reports whether the stream is an orphan: nobody owns it, and it has, or
// will have, an answer that nobody was given. Called with the lock held.
func (s *stream) adoptable() bool {
	if len(s.owners) > 0 || s.delivered || s.waived || s.unfit || s.stopped != "" || !s.complete && !s.draining {
		return false
	}
	info := s.log.Info()
	failed := info.End != nil && info.End.State != streamlog.Completed || info.Head != nil && info.Head.Status/100 != 2
	return !failed
}

// assembles reports whether an answer to a call can be put together from events.
func assembles(h *streamlog.Header) bool { return dialect.NewAssembly(h.Endpoint) != nil }
