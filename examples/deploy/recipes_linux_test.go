package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/must"
)

// TestShell deploys to two hosts by deploy.sh. ssh runs the command line here, and scp copies here.
func TestShell(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.service()
	h.install("ssh", `[ "$1" != -n ] || { shift; exec </dev/null; }
shift; exec sh -c "$*"`)
	h.install("scp", `exec cp "$2" "${3#*:}"`)
	here := must.Get(os.Getwd())(t)
	run := deploytest.Load(t, h.addr)
	program(t, h.dir+"/good", "2", "serves")
	h.sh(0, here+"/deploy.sh ./good web1 web2", "GRACEX_FLAGS=--version 1.1.0 --socket "+h.socket())
	h.wantCurrent("1.1.0")
	program(t, h.dir+"/bad", "3", "exits")
	out := h.sh(1, here+"/deploy.sh ./bad web1 web2", "GRACEX_FLAGS=--version 1.2.0 --socket "+h.socket())
	if !strings.Contains(out, `unknown key "basket"`) || !strings.Contains(out, "== web1") || strings.Contains(out, "== web2") {
		t.Errorf("it says:\n%s", out)
	}
	h.wantCurrent("1.1.0")
	deploytest.StopLoad(t, run)
	if left, _ := filepath.Glob(h.dir + "/tmp.*"); left != nil {
		t.Errorf("%q is left", left)
	}
}

// TestSwitch deploys directories, of which the last one is bad.
func TestSwitch(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, name := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		program(t, h.app+"/releases/"+name+"/shop", name, map[bool]string{true: "exits", false: "serves"}[name == "7"])
	}
	must.Do(t, os.Symlink("releases/1", h.app+"/current"))
	h.start("current/shop")
	here := must.Get(os.Getwd())(t)
	for _, name := range []string{"2", "6"} {
		h.sh(0, here+"/switch.sh "+h.app+" "+name+" --socket "+h.socket())
		h.wantCurrent(name)
	}
	h.sh(1, here+"/switch.sh "+h.app+" 7 --socket "+h.socket())
	h.wantCurrent("6")
	left := must.Get(os.ReadDir(h.app + "/releases"))(t)
	if len(left) != 5 {
		t.Errorf("%v are left", left)
	}
}

// envAnsible has the play run by Ansible, too.
const envAnsible = "CORE_TEST_ANSIBLE"

// ansiblePlay is a part of a playbook.
type ansiblePlay struct {
	Vars  map[string]string
	Tasks []struct {
		Block []struct {
			Command struct{ Argv []string } `yaml:"ansible.builtin.command"`
			Changed any                     `yaml:"changed_when"`
		}
	}
}

// TestAnsible runs the command line of the play, and then the play itself.
func TestAnsible(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.service()
	var plays []ansiblePlay
	must.Do(t, yaml.Unmarshal(must.Get(os.ReadFile("ansible.yml"))(t), &plays))
	vars := maps.Clone(plays[0].Vars)
	vars["version"], vars["program"], vars["socket"] = "1.1.0", h.dir+"/good", h.socket()
	vars["copy"] = vars["program"]
	program(t, vars["program"], "2", "serves")
	argv := plays[0].Tasks[0].Block[1].Command.Argv
	if len(argv) == 0 {
		t.Fatal("the play has no command line")
	}
	for i := range argv {
		for name, value := range vars {
			argv[i] = strings.ReplaceAll(argv[i], "{{ "+name+" }}", value)
		}
	}
	out, err := h.cmd(h.bin+"/gracex", argv[1:]...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `{"kind":"outcome"`) {
		t.Errorf("%q: %v\n%s", argv, err, out)
	}
	h.wantCurrent("1.1.0")

	if os.Getenv(envAnsible) == "" {
		t.Skipf("%s=1 runs the play itself, which takes 7 s of a processor; on Debian, apt-get install ansible-core", envAnsible)
	}
	play := "ansible-playbook -i inventory " + must.Get(filepath.Abs("ansible.yml"))(t) + " -e socket=" + h.socket() + " -e copy=$PWD/copy"
	must.Do(t, os.WriteFile(h.dir+"/inventory", []byte("[web]\nweb1 ansible_connection=local\n"), 0o644))
	program(t, h.dir+"/next", "3", "serves")
	program(t, h.dir+"/bad", "4", "exits")
	for _, row := range []struct {
		program, version string
		status           int
		says             string
	}{
		{"next", "1.2.0", 0, "changed=1"},
		{"next", "1.2.0", 0, "changed=0"},
		{"bad", "1.3.0", 2, "failed=1"},
	} {
		out := h.sh(row.status, play+" -e program=$PWD/"+row.program+" -e version="+row.version)
		if !strings.Contains(out, row.says) {
			t.Errorf("nothing of %s in\n%s", row.says, out)
		}
		h.wantCurrent("1.2.0")
	}
	if _, err := os.Stat(h.dir + "/copy"); err == nil {
		t.Error("the copy is left")
	}
}

// TestGitHubPublish runs the run: lines of the workflow, and a host takes what they have published. go puts the program
// there that is built already, and gh keeps the files.
func TestGitHubPublish(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.service()
	program(t, h.dir+"/built", "2", "serves")
	h.install("go", `case $1 in
build) while [ "$1" != -o ]; do shift; done; mkdir -p "$(dirname "$2")"; cp "$SHOP" "$2" ;;
install) ;;
*) exit 2 ;;
esac`)
	h.install("gh", `case $*," $3 " in
"release create v1.5.0 --draft "*) shift 5; mkdir -p "$GITHUB/draft"; cp "$@" "$GITHUB/draft" ;;
"release edit v1.5.0 --draft=false"*) mv "$GITHUB/draft" "$GITHUB/v1.5.0" ;;
*) exit 2 ;;
esac`)
	h.sh(0, "gracex release keygen && mv release.key secret")
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Name, Run string
				Env       map[string]string
			}
		}
	}
	must.Do(t, yaml.Unmarshal(must.Get(os.ReadFile("github-publish.yml"))(t), &workflow))
	env := []string{
		"GITHUB_REF_NAME=v1.5.0", "GITHUB_RUN_NUMBER=42", "RUNNER_TEMP=" + h.run, "SHOP=" + h.dir + "/built", "GITHUB=" + h.dir,
		"RELEASE_KEY=" + strings.TrimSpace(string(must.Get(os.ReadFile(h.dir+"/secret"))(t))),
	}
	ran := 0
	for _, step := range workflow.Jobs["publish"].Steps {
		if step.Run == "" {
			continue
		}
		ran++
		h.sh(0, step.Run, env...)
	}
	if ran != 3 {
		t.Errorf("%d steps of the workflow have run", ran)
	}
	if _, err := os.Stat(h.run + "/release.key"); err == nil {
		t.Error("the private key is left")
	}
	h.sh(0, "gracex deploy "+h.offer(h.dir+"/v1.5.0")+" --name shop --key release.pub --socket "+h.socket())
	h.wantCurrent("1.5.0")
}
