package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rempart/rempart/internal/capability"
)

// Metrics counts requests for Prometheus. They are answered on a listener of
// their own, never on the public one.
type Metrics struct {
	Registry *prometheus.Registry // capabilities may add theirs

	took   *prometheus.HistogramVec
	flight prometheus.Gauge
}

// NewMetrics starts with the metrics of requests, process and runtime.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rempart_http_request_duration_seconds", Help: "Time to answer, by route, method and status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "method", "status"}),
		flight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "rempart_http_requests_in_flight", Help: "Requests being answered."}),
	}
	m.Registry.MustRegister(m.took, m.flight, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe is Server.Observe. Methods that the registry does not know are one,
// so that nobody can make labels at will.
func (m *Metrics) Observe(pattern, method string, status int, took time.Duration) {
	if pattern == "" {
		pattern = "none"
	}
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		method = "other"
	}
	m.took.WithLabelValues(pattern, method, strconv.Itoa(status)).Observe(took.Seconds())
}

// Wrap counts requests under way.
func (m *Metrics) Wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.flight.Inc()
		defer m.flight.Dec()
		h.ServeHTTP(w, r)
	})
}

// ReadyCheck is one thing that must work before requests are accepted.
type ReadyCheck struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Err  error  `json:"-"` // for the process log; a visitor reads the name only
}

// Health is the answer of /health/live and /health/ready.
type Health struct {
	Status string       `json:"status" enum:"live,ready,not_ready"`
	Checks []ReadyCheck `json:"checks,omitempty"`
}

func ask(ctx context.Context, ready func(context.Context) []ReadyCheck) (int, Health) {
	h := Health{Status: "ready"}
	if ready != nil {
		h.Checks = ready(ctx)
	}
	for _, c := range h.Checks {
		if !c.OK {
			h.Status = "not_ready"
			return http.StatusServiceUnavailable, h
		}
	}
	return http.StatusOK, h
}

// HealthRoutes are /health/live (the process answers) and /health/ready (it
// can do its work: every check holds).
func HealthRoutes(ready func(ctx context.Context) []ReadyCheck) []Route {
	return []Route{
		Protocol("GET /health/live", capability.Public, func(w http.ResponseWriter, r *http.Request) error {
			return WriteJSON(w, http.StatusOK, Health{Status: "live"})
		}, Summary("Whether the process answers.")),
		Protocol("GET /health/ready", capability.Public, func(w http.ResponseWriter, r *http.Request) error {
			status, h := ask(r.Context(), ready)
			return WriteJSON(w, status, h)
		}, Summary("Whether the server can do its work.")),
	}
}

// SightHandler answers on the listener of the operator: /metrics, and health
// for whoever cannot send the right Host.
func SightHandler(m *Metrics, ready func(ctx context.Context) []ReadyCheck) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, r *http.Request) {
		WriteJSON(w, http.StatusOK, Health{Status: "live"})
	})
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, r *http.Request) {
		status, h := ask(r.Context(), ready)
		WriteJSON(w, status, h)
	})
	return mux
}
