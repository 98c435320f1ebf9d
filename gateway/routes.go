package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

func (g *Gateway) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = g.handleError
	if g.traces {
		e.Use(g.trace)
	}
	e.Use(g.refuseWhileDraining)
	e.GET("/recoup/streams", g.listStreams)
	e.GET("/recoup/streams/:id", g.readStream)
	e.HEAD("/recoup/streams/:id", g.headStream)
	e.GET("/recoup/streams/:id/status", g.streamStatus)
	e.POST("/recoup/streams/:id/cancel", g.cancelStream)
	e.Any("/recoup/*", func(echo.Context) error {
		return &httpError{status: http.StatusNotFound, code: "not_found", message: "No such endpoint of the gateway. See docs/resume.md for those under /recoup/streams."}
	})
	e.Any("/*", g.provide)
	return e
}

func (g *Gateway) refuseWhileDraining(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if g.isDraining() {
			return errDraining
		}
		return next(c)
	}
}

// provide handles a call that is for a provider: it is drained if it generates,
// else passed through.
func (g *Gateway) provide(c echo.Context) error {
	r := c.Request()
	p, path, err := route(g.cfg().Providers, r)
	if err != nil {
		return err
	}
	c.Set(dialectKey, p.Dialect)
	seen := g.see(c, p, path)
	who, err := g.identify(c)
	if err == nil {
		err = p.admits(who)
	}
	if err != nil {
		g.saw(seen, err)
		return err
	}
	if p.Dialect != nil && r.Method == http.MethodPost {
		if endpoint, ok := p.Dialect.Endpoint(path); ok {
			return g.generate(c, target{p, path, endpoint}, seen)
		}
	}
	g.saw(seen, nil)
	return g.passThrough(c, p, path)
}

// bare are the first segments of provider paths that clients send without /v1
// in front, because of how they join their base URL.
var bare = []string{
	"assistants", "audio", "batches", "chat", "completions", "containers", "conversations", "embeddings", "evals", "files",
	"fine_tuning", "images", "messages", "models", "moderations", "organization", "realtime", "responses", "threads", "uploads",
	"vector_stores", "videos",
}

// geminiMethods are what Gemini's paths end with after a colon. A fine-tuned
// model of another provider has colons in its name too.
var geminiMethods = []string{
	"generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents", "batchGenerateContent",
	"generateAnswer", "predict", "predictLongRunning",
}

// route finds the provider that a request is for, and the path to send there.
func route(providers map[string]Provider, r *http.Request) (Provider, string, error) {
	path := r.URL.EscapedPath()
	if dotSegments(path) {
		return Provider{}, "", badRequest("invalid_path", "The path has a segment that is . or .., which a provider's path never has.")
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if p, ok := providers[first]; ok {
		return p, "/" + rest, nil
	}
	switch {
	case first == "v1beta" || first == "v1alpha":
		return provider(providers, "gemini", path)
	case first == "v1":
		for strings.HasPrefix(path, "/v1/v1/") {
			path = strings.TrimPrefix(path, "/v1")
		}
	case slices.Contains(bare, first):
		path = "/v1" + path
	default:
		return Provider{}, "", &httpError{status: http.StatusNotFound, code: "unknown_provider", message: fmt.Sprintf(
			"No provider %q is configured and the path is no provider's. Use /v1/... or one of: %s.", first, strings.Join(names(providers), ", "))}
	}
	switch {
	case strings.HasPrefix(path, "/v1/messages"), r.Header.Get("Anthropic-Version") != "":
		return provider(providers, "anthropic", path)
	case strings.HasPrefix(path, "/v1/models/") && slices.Contains(geminiMethods, path[strings.LastIndexByte(path, ':')+1:]):
		return provider(providers, "gemini", path)
	}
	return provider(providers, "openai", path)
}

// dotSegments reports whether a path has segments that would climb out of the
// path of a base URL.
func dotSegments(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if plain, err := url.PathUnescape(segment); err != nil || plain == "." || plain == ".." {
			return true
		}
	}
	return false
}

func provider(providers map[string]Provider, name, path string) (Provider, string, error) {
	if p, ok := providers[name]; ok {
		return p, path, nil
	}
	return Provider{}, "", &httpError{status: http.StatusNotFound, code: "unknown_provider", message: fmt.Sprintf(
		"The path is for the provider %q, which is not configured. Configured: %s.", name, strings.Join(names(providers), ", "))}
}

func names(providers map[string]Provider) []string {
	var out []string
	for name := range providers {
		out = append(out, "/"+name+"/")
	}
	slices.Sort(out)
	return out
}
