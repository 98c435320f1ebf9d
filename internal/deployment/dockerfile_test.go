package deployment

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is one of the Dockerfile, with its continued lines joined.
type instruction struct{ name, args string }

// dockerfile returns the instructions of both stages.
func dockerfile(t *testing.T) (build, final []instruction) {
	t.Helper()
	var all []instruction
	from := []int{}
	text := strings.ReplaceAll(read(t, "Dockerfile"), "\\\n", " ")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, args, _ := strings.Cut(line, " ")
		if name == "FROM" {
			from = append(from, len(all))
		}
		all = append(all, instruction{name, strings.Join(strings.Fields(args), " ")})
	}
	if len(from) != 2 || from[0] != 0 {
		t.Fatalf("the Dockerfile's stages begin at %v", from)
	}
	return all[:from[1]], all[from[1]:]
}

// one returns the arguments of the only instruction of that name.
func one(t *testing.T, stage []instruction, name string) string {
	t.Helper()
	var found []string
	for _, i := range stage {
		if i.name == name {
			found = append(found, i.args)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d times %s in the Dockerfile's stage: %q", len(found), name, found)
	}
	return found[0]
}

// imageEnv is the environment that the image sets.
func imageEnv(t *testing.T) map[string]string {
	t.Helper()
	_, final := dockerfile(t)
	env := map[string]string{}
	for pair := range strings.FieldsSeq(one(t, final, "ENV")) {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			t.Fatalf("ENV %s", pair)
		}
		env[name] = value
	}
	return env
}

// goBuild is the build command of the Dockerfile.
func goBuild(t *testing.T) string {
	t.Helper()
	build, _ := dockerfile(t)
	for _, i := range build {
		if i.name == "RUN" && strings.Contains(i.args, "go build ") {
			return i.args
		}
	}
	t.Fatal("the Dockerfile builds nothing")
	return ""
}

func TestDockerfile(t *testing.T) {
	build, final := dockerfile(t)
	if from := one(t, build, "FROM"); !regexp.MustCompile(`^golang:1\.\d+\.\d+-[a-z]+ AS build$`).MatchString(from) {
		t.Errorf("FROM %s is not pinned", from)
	}
	if from := one(t, final, "FROM"); from != "scratch" {
		t.Errorf("the image is FROM %s", from)
	}
	for _, part := range []string{"CGO_ENABLED=0 ", " -trimpath ", `-ldflags "-s -w -X main.stamped=`} {
		if !strings.Contains(goBuild(t), part) {
			t.Errorf("%s has no %q", goBuild(t), part)
		}
	}

	user := one(t, final, "USER")
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("USER %s is root, or no number", user)
	}
	env := imageEnv(t)
	data := env["RECOUP_DATA_DIR"]
	if !slices.Contains(final, instruction{"COPY", "--from=build --chown=" + user + " /rootfs" + path.Dir(data) + " " + path.Dir(data)}) {
		t.Errorf("%s does not belong to %s", data, user)
	}
	if volume := one(t, final, "VOLUME"); volume != `["`+data+`"]` {
		t.Errorf("VOLUME %s, the data is in %s", volume, data)
	}
	ports := []string{}
	for _, name := range []string{"RECOUP_LISTEN", "RECOUP_ADMIN_LISTEN"} {
		host, port, _ := strings.Cut(env[name], ":")
		if host != "0.0.0.0" {
			t.Errorf("%s=%s: nobody outside of the container reaches that", name, env[name])
		}
		ports = append(ports, port)
	}
	if got := one(t, final, "EXPOSE"); got != strings.Join(ports, " ") {
		t.Errorf("EXPOSE %s, it listens on %v", got, ports)
	}
	for name, want := range map[string]string{"ENTRYPOINT": `["/recoup"]`, "CMD": `["serve"]`, "STOPSIGNAL": "SIGTERM"} {
		if got := one(t, final, name); got != want {
			t.Errorf("%s %s, want %s", name, got, want)
		}
	}
	if check := one(t, final, "HEALTHCHECK"); !strings.HasSuffix(check, ` CMD ["/recoup", "ready"]`) {
		t.Errorf("HEALTHCHECK %s", check)
	}
	// The legacy builder knows none of this.
	for _, i := range slices.Concat(build, final) {
		if strings.Contains(i.args, "--mount=") || strings.Contains(i.args, "--link") || strings.Contains(i.args, "--chmod=") || strings.Contains(i.args, "<<") {
			t.Errorf("%s %s needs BuildKit", i.name, i.args)
		}
	}
	if strings.Contains(read(t, "Dockerfile"), "syntax=") {
		t.Error("the Dockerfile names a syntax")
	}
}
