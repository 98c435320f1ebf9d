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
	e.Any("/recoup/*", notFound)
	e.Any("/*", g.provide)
	e.RouteNotFound("/recoup/*", notFound) // for methods that echo does not know
	e.RouteNotFound("/*", g.provide)
	return e
}

func notFound(echo.Context) error {
	return &httpError{status: http.StatusNotFound, code: "not_found", message: "No such endpoint of the gateway. See docs/resume.md for those under /recoup/streams."}
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
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect {
		// One asks for the request's own headers back, the other for a tunnel to
		// anywhere.
		return &httpError{status: http.StatusMethodNotAllowed, code: "method_not_allowed", message: "The gateway passes no " + r.Method + " on."}
	}
	p, path, err := route(g.cfg().Providers, r)
	if err != nil {
		return err
	}
	c.Set(dialectKey, p.Dialect)
	seen := g.see(c, p, path)
	who, err := g.brings(c)
	if err == nil {
		err = p.admits(who)
	}
	if err == nil {
		err = p.prepare(r.Context(), who, path)
	}
	if err != nil {
		g.saw(seen, err)
		return err
	}
	if p.Dialect != nil && r.Method == http.MethodPost {
		if endpoint, ok := p.Dialect.Endpoint(path); ok {
			routed(c, endpoint)
			return g.generate(c, target{p, path, endpoint}, seen)
		}
	}
	if a, ok := streamedResponse(r, p, path); ok {
		if conn, err := g.followResponse(c, p, a); conn != nil || err != nil {
			seen.follows(conn, a.route())
			g.saw(seen, err)
			return serve(c, conn, err)
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

// bareBedrock are the first segments of Bedrock's paths, which its SDKs send without
// anything in front.
var bareBedrock = []string{"model", "guardrail", "guardrail-checks", "async-invoke"}

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
		return p, "/" + strings.TrimLeft(rest, "/"), nil // some clients put a slash behind a base URL that ends with one
	}
	switch {
	case first == "v1", slices.Contains(geminiVersions, first):
		path = undoubled(path)
	case geminiUpload(first, rest):
	case slices.Contains(bareBedrock, first):
		return provider(providers, "bedrock", path)
	case slices.Contains(bare, first):
		path = "/v1" + path
	default:
		return Provider{}, "", &httpError{status: http.StatusNotFound, code: "unknown_provider", message: fmt.Sprintf(
			"No provider %q is configured and the path is no provider's. Use /v1/... or one of: %s.", first, strings.Join(names(providers), ", "))}
	}
	switch {
	case isGemini(path, r.Header):
		return provider(providers, "gemini", path)
	case strings.HasPrefix(path, "/v1/messages"), r.Header.Get("Anthropic-Version") != "":
		return provider(providers, "anthropic", path)
	}
	return provider(providers, "openai", path)
}

// undoubled takes the version off that a client has put before a path which has
// one.
func undoubled(path string) string {
	for _, version := range geminiVersions {
		for strings.HasPrefix(path, "/"+version+"/"+version+"/") {
			path = strings.TrimPrefix(path, "/"+version)
		}
	}
	for {
		rest := strings.TrimPrefix(path, "/v1/")
		first, second, _ := strings.Cut(rest, "/")
		if rest == path || first != "v1" && !slices.Contains(geminiVersions, first) && !geminiUpload(first, second) {
			return path
		}
		path = "/" + rest
	}
}

// geminiVersions are the first segments of paths that only Google's APIs have, the last
// of them Vertex.
var geminiVersions = []string{"v1beta", "v1alpha", "v1beta1"}

// geminiAlone are the collections that only Gemini has below /v1; geminiToo are
// those that others have as well.
var (
	geminiAlone = []string{"cachedContents", "corpora", "fileSearchStores", "interactions", "operations", "tunedModels"}
	geminiToo   = []string{"batches", "files", "models"}
)

// geminiUpload reports whether a path is of Gemini's for the bytes of files, which
// have the version second.
func geminiUpload(first, rest string) bool {
	version, _, _ := strings.Cut(rest, "/")
	return (first == "upload" || first == "download") && (version == "v1" || slices.Contains(geminiVersions, version))
}

// isGemini reports whether a path with its version is Gemini's. Where others have
// the same, it is if a Google client asks.
func isGemini(path string, h http.Header) bool {
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if slices.Contains(geminiVersions, first) || geminiUpload(first, rest) {
		return true
	}
	collection, name, _ := strings.Cut(rest, "/")
	switch {
	case slices.Contains(geminiAlone, collection):
		return true
	case (collection == "projects" || collection == "publishers") && slices.Contains(geminiMethods, name[strings.LastIndexByte(name, ':')+1:]): // Vertex
		return true
	case collection == "models" && slices.Contains(geminiMethods, name[strings.LastIndexByte(name, ':')+1:]):
		return strings.Contains(name, ":")
	}
	return slices.Contains(geminiToo, collection) && (h.Get("X-Goog-Api-Key") != "" || h.Get("X-Goog-Api-Client") != "")
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
