package telemetry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// Logger returns the logger of a service. Every line has its name and the time; a line
// written with a context (zerolog's Ctx) also has the ids of the present trace and span.
func (t *Telemetry) Logger(service string) zerolog.Logger {
	return t.log.With().Str("service", service).Logger()
}

// ErrSetting reports a [Config] that nobody can log by.
var ErrSetting = errors.New("log")

func newLogger(cfg Config) (zerolog.Logger, error) {
	level := zerolog.InfoLevel
	if cfg.LogLevel != "" {
		var err error
		if level, err = zerolog.ParseLevel(cfg.LogLevel); err != nil || level == zerolog.NoLevel {
			return zerolog.Nop(), fmt.Errorf("%w: level %q: want trace, debug, info, warn, error or disabled", ErrSetting, cfg.LogLevel)
		}
	}
	out := cfg.LogOutput
	if out == nil {
		out = os.Stderr
	}
	switch cfg.LogFormat {
	case "", "json":
		out = &oneAtATime{w: out}
	case "console":
		out = &oneAtATime{w: zerolog.ConsoleWriter{Out: out, TimeFormat: "15:04:05.000", NoColor: !isTerminal(out)}}
	default:
		return zerolog.Nop(), fmt.Errorf("%w: format %q: want json or console", ErrSetting, cfg.LogFormat)
	}
	return zerolog.New(out).Level(level).Hook(zerolog.HookFunc(stamp)), nil
}

// stamp adds time and trace to a line. The time is written here, in milliseconds and UTC,
// since zerolog's own format is a package variable that others may change.
func stamp(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str("time", time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	ctx := e.GetCtx()
	if ctx == nil {
		return
	}
	if s := trace.SpanContextFromContext(ctx); s.IsValid() {
		e.Stringer("trace", s.TraceID()).Stringer("span", s.SpanID())
	}
}

// isTerminal reports whether w is a terminal that shows colours.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// oneAtATime keeps lines of different loggers apart.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}

// complaints logs what OpenTelemetry cannot do, once a minute at most: a collector that
// is away fails every few seconds, and one line says it all.
type complaints struct {
	log  zerolog.Logger
	mu   sync.Mutex
	next time.Time
	kept int
}

// Handle implements OpenTelemetry's ErrorHandler.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Before(c.next) {
		c.kept++
		return
	}
	c.next = now.Add(time.Minute)
	c.log.Warn().Err(err).Int("unsaid", c.kept).Msg("telemetry")
	c.kept = 0
}
