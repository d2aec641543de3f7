// Package check reads the files in deploy/ with the types of those who will read them. It is
// a module of its own, so that Tandem needs nothing of Kubernetes.
package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// kinds are those that the files may have.
var kinds = map[string]func() any{
	"v1 Namespace":                       func() any { return &core.Namespace{} },
	"v1 ConfigMap":                       func() any { return &core.ConfigMap{} },
	"v1 Service":                         func() any { return &core.Service{} },
	"apps/v1 Deployment":                 func() any { return &apps.Deployment{} },
	"apps/v1 StatefulSet":                func() any { return &apps.StatefulSet{} },
	"policy/v1 PodDisruptionBudget":      func() any { return &policy.PodDisruptionBudget{} },
	"networking.k8s.io/v1 NetworkPolicy": func() any { return &networking.NetworkPolicy{} },
	"networking.k8s.io/v1 Ingress":       func() any { return &networking.Ingress{} },
}

// decode reads documents, and refuses fields that their kinds do not have. It returns how many
// of each kind there are.
func decode(t *testing.T, text string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, document := range strings.Split("\n"+text, "\n---") {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		if head.Kind == "" {
			continue
		}
		kind := head.APIVersion + " " + head.Kind
		newObject, known := kinds[kind]
		if !known {
			t.Errorf("there is no kind %s here", kind)
			continue
		}
		object := newObject()
		text, err := yaml.YAMLToJSONStrict([]byte(document))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		unknown, err := json.UnmarshalStrict(text, object) // minds upper and lower case, as the API server does
		if err = errors.Join(append(unknown, err)...); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		found[head.Kind]++
		switch o := object.(type) {
		case *apps.Deployment:
			checkPod(t, o.Spec.Template, o.Spec.Selector.MatchLabels)
		case *apps.StatefulSet:
			checkPod(t, o.Spec.Template, o.Spec.Selector.MatchLabels)
		}
	}
	return found
}

// checkPod looks at what a server must not be able to do, and at what ends it.
func checkPod(t *testing.T, pod core.PodTemplateSpec, selector map[string]string) {
	t.Helper()
	for name, value := range selector {
		if pod.Labels[name] != value {
			t.Errorf("the pods do not have the label %s=%s of the selector", name, value)
		}
	}
	c := pod.Spec.Containers[0]
	s, p := c.SecurityContext, pod.Spec.SecurityContext
	switch {
	case s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem:
		t.Error("the root is not read-only")
	case s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation:
		t.Error("rights may grow")
	case s.Capabilities == nil || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL":
		t.Error("there are capabilities")
	case p == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || p.SeccompProfile == nil:
		t.Error("the pod may be root, or has no seccomp profile")
	case c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe == nil || c.LivenessProbe.HTTPGet.Path != "/healthz":
		t.Error("the probes are missing")
	case pod.Spec.TerminationGracePeriodSeconds == nil || *pod.Spec.TerminationGracePeriodSeconds < 25:
		t.Error("the server is killed before its requests have finished")
	case c.Resources.Limits.Memory().IsZero():
		t.Error("the memory has no limit")
	}
	mounted := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		mounted[v.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !mounted[m.Name] && m.Name != "data" {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func want(t *testing.T, got map[string]int, kinds ...string) {
	t.Helper()
	if len(got) != len(kinds) {
		t.Errorf("found %v, want %q", got, kinds)
	}
	for _, kind := range kinds {
		if got[kind] != 1 {
			t.Errorf("%d of %s, want 1", got[kind], kind)
		}
	}
}

func TestManifests(t *testing.T) {
	want(t, decode(t, read(t, "../kubernetes/postgres.yaml")), "Namespace", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "Ingress")
	want(t, decode(t, read(t, "../kubernetes/sqlite.yaml")), "Namespace", "StatefulSet", "Service", "NetworkPolicy", "Ingress")
}

// render renders the chart with Helm, as helm install does, for a release named auth.
func render(t *testing.T, values map[string]any) (manifests, notes string, err error) {
	t.Helper()
	tandem, err := loader.LoadDir("../helm/tandem")
	if err != nil {
		t.Fatal(err)
	}
	release := chartutil.ReleaseOptions{Name: "auth", Namespace: "tandem", IsInstall: true, Revision: 1}
	all, err := chartutil.ToRenderValues(tandem, values, release, chartutil.DefaultCapabilities) // checks them with the schema
	if err != nil {
		return "", "", err
	}
	files, err := engine.Engine{Strict: true}.Render(tandem, all)
	if err != nil {
		t.Fatal(err)
	}
	return files["tandem/templates/server.yaml"], files["tandem/templates/NOTES.txt"], nil
}

// The chart is one that helm lint has nothing to say against.
func TestHelmLint(t *testing.T) {
	result := lint.All("../helm/tandem", map[string]any{"config": map[string]any{"issuer": "https://auth.example.com"}}, "tandem", true)
	for _, m := range result.Messages {
		if m.Severity > support.InfoSev { // such as that there is no icon
			t.Errorf("%v", m)
		}
	}
}

func TestChart(t *testing.T) {
	config := map[string]any{"issuer": "https://auth.example.com"}
	manifests, notes, err := render(t, map[string]any{"config": config})
	if err != nil {
		t.Fatal(err)
	}
	want(t, decode(t, manifests), "ConfigMap", "StatefulSet", "Service", "NetworkPolicy")
	if !strings.Contains(notes, "exec -it auth-0 -- /tandem user recover root") {
		t.Errorf("notes:\n%s", notes)
	}
	manifests, notes, err = render(t, map[string]any{
		"config": config, "existingSecret": "tandem", "ingress": map[string]any{"enabled": true, "className": "nginx"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, decode(t, manifests), "ConfigMap", "Deployment", "PodDisruptionBudget", "Service", "NetworkPolicy", "Ingress")
	if !strings.Contains(notes, "exec -it deploy/auth -- /tandem user recover root") {
		t.Errorf("notes:\n%s", notes)
	}
	if strings.Contains(manifests, "/admin") {
		t.Error("the ingress lets the internet to the API for administrators")
	}
}

// Helm checks values with the schema of the chart before it renders them.
func TestSchemaOfValues(t *testing.T) {
	issuer := map[string]any{"issuer": "https://auth.example.com"}
	for name, c := range map[string]struct {
		values map[string]any
		good   bool
	}{
		"the issuer alone":   {map[string]any{"config": issuer}, true},
		"a secret":           {map[string]any{"config": issuer, "existingSecret": "tandem", "replicas": 3}, true},
		"no issuer":          {map[string]any{}, false},
		"a misspelt name":    {map[string]any{"config": issuer, "replica": 3}, false},
		"no servers":         {map[string]any{"config": issuer, "replicas": 0}, false},
		"metrics for nobody": {map[string]any{"config": issuer, "networkPolicy": map[string]any{"metricsFrom": ""}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := render(t, c.values); (err == nil) != c.good {
				t.Errorf("good: %t, want %t: %v", err == nil, c.good, err)
			}
		})
	}
}

// Compose reads both files, and the servers in them can do little.
func TestCompose(t *testing.T) {
	for name, services := range map[string][]string{
		"compose.yaml": {"tandem"}, "compose.postgres.yaml": {"tandem-1", "tandem-2"},
	} {
		t.Run(name, func(t *testing.T) {
			options, err := cli.NewProjectOptions([]string{filepath.Join("../compose", name)}, cli.WithEnv([]string{"TANDEM_HOST=auth.example.com"}), cli.WithName("tandem"))
			if err != nil {
				t.Fatal(err)
			}
			project, err := options.LoadProject(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range services {
				s, err := project.GetService(name)
				if err != nil {
					t.Fatal(err)
				}
				if !s.ReadOnly || fmt.Sprint(s.CapDrop) != "[ALL]" || len(s.SecurityOpt) == 0 || s.StopGracePeriod == nil {
					t.Errorf("%s: read-only %t, dropped %v, options %v", name, s.ReadOnly, s.CapDrop, s.SecurityOpt)
				}
			}
		})
	}
	options, err := cli.NewProjectOptions([]string{"../compose/compose.postgres.yaml"}, cli.WithName("tandem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := options.LoadProject(context.Background()); err == nil || !strings.Contains(err.Error(), "set it to the name of the server") {
		t.Errorf("without TANDEM_HOST: %v", err)
	}
}
