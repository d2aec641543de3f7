package daemon_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-auth/tandem/internal/daemon"
)

// post sends JSON, and returns the status and the body.
func post(t *testing.T, url, body string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for pair := range slices.Chunk(header, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// scrape returns the values of counters, gauges and the counts of histograms, by their names
// and labels.
func scrape(t *testing.T, d *daemon.Daemon) map[string]float64 {
	t.Helper()
	response, err := http.Get("http://" + d.MetricsAddress() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			key := name
			if len(labels) > 0 {
				key = fmt.Sprintf("%s{%s}", name, strings.Join(labels, ","))
			}
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

// What an operator wants to see is counted, on a port of its own, with no name of a user, no
// address and no token in it.
func TestMetrics(t *testing.T) {
	c := config(t.TempDir())
	c.Metrics, c.Version = "localhost:0", "1.2.3"
	d := open(t, c)
	if err := d.Directory().Add(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	serve(t, d)
	status, body := post(t, d.URL()+"/auth/login", `{"username":"ann","password":"`+password+`"}`)
	if status != http.StatusOK {
		t.Fatal(status, body)
	}
	post(t, d.URL()+"/auth/login", `{"username":"ann","password":"wrong"}`)
	post(t, d.URL()+"/auth/refresh-token", body)
	post(t, d.URL()+"/auth/refresh-token", body)
	post(t, d.URL()+"/auth/refresh-token", "{}")
	post(t, d.URL()+"/auth/logout", body)

	got := scrape(t, d)
	for key, want := range map[string]float64{
		"tandem_sign_in_duration_seconds{outcome=signed_in}":                            1,
		"tandem_sign_in_duration_seconds{outcome=failed}":                               1,
		"tandem_sign_in_duration_seconds{outcome=limited}":                              0,
		"tandem_refresh_duration_seconds{outcome=refreshed}":                            1,
		"tandem_refresh_duration_seconds{outcome=retried}":                              1,
		"tandem_refresh_duration_seconds{outcome=reuse_detected}":                       0,
		"tandem_http_request_duration_seconds{endpoint=/auth/refresh-token,status=2xx}": 2,
		"tandem_http_request_duration_seconds{endpoint=/auth/refresh-token,status=4xx}": 1,
		"tandem_sessions_begun_total":                                                   1,
		"tandem_sessions_ended_total{reason=signed_out}":                                1,
		"tandem_sessions_ended_total{reason=revoked}":                                   0,
		"tandem_store_call_duration_seconds{call=Create}":                               1,
		"tandem_store_errors_total{call=Confirm}":                                       0,
		"tandem_password_check_duration_seconds":                                        2,
		"tandem_sign_in_queue_duration_seconds":                                         2,
		"tandem_sign_in_queue_waiting":                                                  0,
		"tandem_feed_followers":                                                         0,
		"tandem_store_went_back_total":                                                  0,
		"tandem_audit_dropped_total{sink=store}":                                        0,
		"tandem_ready":                                                                  1,
		"tandem_build_info{goversion=" + runtime.Version() + ",version=1.2.3}":          1,
	} {
		if value, there := got[key]; !there || value != want {
			t.Errorf("%s is %v (%t), want %v", key, value, there, want)
		}
	}
	for _, key := range []string{
		"tandem_key_age_seconds{algorithm=ES256,use=signing}", "tandem_key_age_seconds{algorithm=HMAC,use=refresh}",
		"tandem_audit_pending{sink=store}", "tandem_sign_in_queue_running", "go_goroutines", "process_open_fds",
	} {
		if _, there := got[key]; !there {
			t.Errorf("%s is missing", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if strings.Contains(key, "ann") || strings.Contains(key, "127.0.0.1") {
			t.Errorf("%s says who or where", key)
		}
	}
	for path, want := range map[string]int{"/readyz": 200, "/healthz": 200, "/auth/me": 404} {
		response, err := http.Get("http://" + d.MetricsAddress() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s on the port of the metrics: %d, want %d", path, response.StatusCode, want)
		}
	}
	if response, err := http.Get(d.URL() + "/metrics"); err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("/metrics on the port of the server: %v", err)
	} else {
		_ = response.Body.Close()
	}
}

// A trace goes from the caller through the server to the store, and has nothing private.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	var spans []*traces.Span
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		var export collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(text, &export) != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range export.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				spans = append(spans, scope.GetSpans()...)
			}
		}
	}))
	defer sink.Close()
	c := config(t.TempDir())
	c.OTLP = sink.URL
	d := open(t, c)
	if err := d.Directory().Add(context.Background(), "ann", password); err != nil {
		t.Fatal(err)
	}
	stop := serve(t, d)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	post(t, d.URL()+"/auth/login", `{"username":"ann","password":"`+password+`"}`, "traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	if err := stop(); err != nil { // sends the rest
		t.Fatal(err)
	}
	names := map[string]*traces.Span{}
	for _, s := range spans {
		names[s.GetName()] = s
	}
	root := names["POST /auth/login"]
	if root == nil {
		t.Fatalf("no span of the request among %v", slices.Sorted(maps.Keys(names)))
	}
	if got := fmt.Sprintf("%x", root.GetTraceId()); got != trace || fmt.Sprintf("%x", root.GetParentSpanId()) != "b7ad6b7169203331" {
		t.Errorf("the request has the trace %s and the parent %x", got, root.GetParentSpanId())
	}
	for _, name := range []string{"tandem.queue", "tandem.password", "tandem.store.Create"} {
		if s := names[name]; s == nil || string(s.GetParentSpanId()) != string(root.GetSpanId()) {
			t.Errorf("%s is not within the request: %v", name, s)
		}
	}
	for _, s := range spans {
		if text := s.String(); strings.Contains(text, "ann") || strings.Contains(text, password) {
			t.Errorf("a span says who: %s", text)
		}
	}
}
