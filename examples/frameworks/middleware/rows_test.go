package middleware_test

import (
	"io"
	"log"
	"net/http"
	"time"

	"github.com/NYTimes/gziphandler"
	gingzip "github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"
	chi "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/handlers"
	"github.com/klauspost/compress/gzhttp"
	echo4 "github.com/labstack/echo/v4"
	echo4middleware "github.com/labstack/echo/v4/middleware"
	"github.com/labstack/echo/v5"
	echomiddleware "github.com/labstack/echo/v5/middleware"
	"github.com/urfave/negroni/v3"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// row is a row of the table: one middleware, or several that wrap each other.
type row struct {
	name   string
	module string // go.mod has its version; if empty, the row needs no module
	wrap   func(http.Handler) http.Handler

	ends time.Duration // the age at which the middleware ends a stream; if zero, never

	// delaysUnseen is true if the middleware delays events on a server without a
	// WriteTimeout, and Accept cannot see that.
	delaysUnseen bool

	advice string // the last cell of the row
}

const otel = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

const (
	nothing     = "nothing"
	uncompress  = "nothing; to save memory, exclude the route"
	exclude     = "exclude the route"
	streamTime  = "exclude the route if streams must live longer"
	limit       = 30 * time.Minute
	giveUnwrap  = "add a method `Unwrap() http.ResponseWriter`"
	orderMatter = "compress outside the wrapper, or add a `Flush` to the wrapper"
)

var rows = []row{
	{name: "none", wrap: func(h http.Handler) http.Handler { return h }, advice: nothing},
	{name: "a wrapper with `Unwrap`", wrap: wrapper(withUnwrap), advice: nothing},
	{name: "a wrapper without `Unwrap`", wrap: wrapper(withoutUnwrap), advice: giveUnwrap},
	{name: "a wrapper with `Flush`, without `Unwrap`", wrap: wrapper(onlyFlush), advice: giveUnwrap},
	{name: "`http.MaxBytesHandler`", advice: nothing, wrap: func(h http.Handler) http.Handler {
		return http.MaxBytesHandler(h, 1<<20)
	}},
	{name: "`http.TimeoutHandler`", wrap: timeoutHandler,
		advice: exclude + ": it keeps the whole response until the handler returns"},

	{name: "chi `Logger`", module: "github.com/go-chi/chi/v5", wrap: chiLogger, advice: nothing},
	{name: "chi `Compress`, default types", module: "github.com/go-chi/chi/v5",
		wrap: chi.Compress(5), advice: nothing},
	{name: "chi `Compress`, with `text/event-stream`", module: "github.com/go-chi/chi/v5",
		wrap: chi.Compress(5, "text/event-stream"), advice: uncompress},
	{name: "chi `Timeout`, 30 min", module: "github.com/go-chi/chi/v5",
		wrap: chi.Timeout(limit), ends: limit, advice: streamTime},

	{name: "gin", module: "github.com/gin-gonic/gin", wrap: inGin(), advice: nothing},
	{name: "gin with gin-contrib/gzip", module: "github.com/gin-contrib/gzip",
		wrap:   inGin(gingzip.Gzip(gingzip.DefaultCompression)),
		advice: "use `gzip.WithExcludedPaths`: its writer hides gin's `Unwrap`"},
	{name: "gin inside a wrapper with `Unwrap`", module: "github.com/gin-gonic/gin",
		wrap: chain(wrapper(withUnwrap), inGin()), advice: nothing},
	{name: "gin inside `http.TimeoutHandler`", module: "github.com/gin-gonic/gin",
		wrap: chain(timeoutHandler, inGin()), advice: exclude},

	{name: "echo", module: "github.com/labstack/echo/v5", wrap: inEcho(), advice: nothing},
	{name: "echo `Gzip`", module: "github.com/labstack/echo/v5",
		wrap: inEcho(echomiddleware.Gzip()), advice: uncompress},
	{name: "echo `Gzip`, v4", module: "github.com/labstack/echo/v4", wrap: inEcho4WithGzip,
		advice: uncompress},
	{name: "echo `ContextTimeout`, 30 min", module: "github.com/labstack/echo/v5",
		wrap: inEcho(echomiddleware.ContextTimeout(limit)), ends: limit, advice: streamTime},
	{name: "echo inside `http.TimeoutHandler`", module: "github.com/labstack/echo/v5",
		wrap: chain(timeoutHandler, inEcho()), advice: exclude},

	{name: "gorilla `LoggingHandler`", module: "github.com/gorilla/handlers", wrap: gorillaLogging,
		advice: nothing},
	{name: "gorilla `CompressHandler`", module: "github.com/gorilla/handlers",
		wrap: handlers.CompressHandler, advice: uncompress},
	{name: "gorilla `CompressHandler` inside a wrapper with `Unwrap`",
		module: "github.com/gorilla/handlers",
		wrap:   chain(wrapper(withUnwrap), handlers.CompressHandler), advice: orderMatter},

	{name: "negroni with its `Logger`", module: "github.com/urfave/negroni/v3", wrap: inNegroni,
		advice: nothing},
	{name: "`otelhttp` (felixge/httpsnoop)", module: otel,
		wrap: inOtel, advice: nothing},
	{name: "`otelhttp` inside a wrapper with `Unwrap`", module: otel,
		wrap: chain(wrapper(withUnwrap), inOtel), advice: nothing},

	{name: "klauspost `gzhttp`", module: "github.com/klauspost/compress",
		wrap:   func(h http.Handler) http.Handler { return gzhttp.GzipHandler(h) },
		advice: uncompress},
	{name: "NYTimes/gziphandler", module: "github.com/NYTimes/gziphandler",
		wrap: gziphandler.GzipHandler, delaysUnseen: true,
		advice: "use its successor `gzhttp`; see below"},
}

// chain returns a middleware that applies all the given ones. The first is outermost.
func chain(all ...func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		for i := range all {
			h = all[len(all)-1-i](h)
		}
		return h
	}
}

// The three kinds of wrappers in common use: with Unwrap, without any method, and with
// only Flush.
type (
	unwrappable struct{ http.ResponseWriter }
	opaque      struct{ http.ResponseWriter }
	flushable   struct{ http.ResponseWriter }
)

func (u *unwrappable) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (f *flushable) Flush() { f.ResponseWriter.(http.Flusher).Flush() }

func withUnwrap(w http.ResponseWriter) http.ResponseWriter    { return &unwrappable{w} }
func withoutUnwrap(w http.ResponseWriter) http.ResponseWriter { return &opaque{w} }
func onlyFlush(w http.ResponseWriter) http.ResponseWriter     { return &flushable{w} }

func wrapper(wrap func(http.ResponseWriter) http.ResponseWriter) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(wrap(w), r)
		})
	}
}

func timeoutHandler(h http.Handler) http.Handler { return http.TimeoutHandler(h, limit, "late") }

func chiLogger(h http.Handler) http.Handler {
	return chi.RequestLogger(&chi.DefaultLogFormatter{Logger: log.New(io.Discard, "", 0)})(h)
}

func inGin(middleware ...gin.HandlerFunc) func(http.Handler) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	return func(h http.Handler) http.Handler {
		router := gin.New()
		router.Use(middleware...)
		router.GET("/", gin.WrapH(h))
		return router
	}
}

func inEcho(middleware ...echo.MiddlewareFunc) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		e := echo.New()
		e.Use(middleware...)
		e.GET("/", echo.WrapHandler(h))
		return e
	}
}

func inEcho4WithGzip(h http.Handler) http.Handler {
	e := echo4.New()
	e.Use(echo4middleware.Gzip())
	e.GET("/", echo4.WrapHandler(h))
	return e
}

func gorillaLogging(h http.Handler) http.Handler { return handlers.LoggingHandler(io.Discard, h) }

func inNegroni(h http.Handler) http.Handler {
	logger := negroni.NewLogger()
	logger.ALogger = log.New(io.Discard, "", 0)
	return negroni.New(logger, negroni.Wrap(h))
}

func inOtel(h http.Handler) http.Handler { return otelhttp.NewHandler(h, "events") }
