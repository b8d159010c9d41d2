package signature

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// signingLab is a repository whose commits and tags the real git signs with the
// real gpg, gpgsm and ssh-keygen, and verifies.
type signingLab struct {
	t testing.TB
	// dir is the repository, keys a directory for key files, and home where gpg
	// keeps its keys.
	dir, keys, home string
}

func newSigningLab(t testing.TB) *signingLab {
	t.Helper()
	for _, tool := range []string{"git", "gpg", "gpgconf", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("these tests need %s: make test installs it", tool)
		}
	}
	// The sockets of gpg-agent must have short names, which t.TempDir has not.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	l := &signingLab{t: t, dir: t.TempDir(), keys: t.TempDir(), home: home}
	t.Cleanup(func() {
		l.run(nil, "gpgconf", "--kill", "all")
		_ = os.RemoveAll(home)
	})
	l.git("init", "--quiet", "--initial-branch=main")
	l.write("allowed_signers", "")
	return l
}

func (l *signingLab) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "GNUPGHOME="+l.home, "HOME="+l.home, "LC_ALL=C",
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com",
		"GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com")
	return cmd
}

func (l *signingLab) run(input []byte, name string, args ...string) []byte {
	l.t.Helper()
	cmd := l.command(name, args...)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func (l *signingLab) git(args ...string) string {
	l.t.Helper()
	return strings.TrimSuffix(string(l.run(nil, "git", args...)), "\n")
}

func (l *signingLab) gpg(args ...string) []byte {
	l.t.Helper()
	return l.run(nil, "gpg", append([]string{"--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
}

// write makes a file among the keys.
func (l *signingLab) write(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.keys, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// openPGPKey makes a key and returns its fingerprint. Flags are for gpg, such as
// a clock that is wrong.
func (l *signingLab) openPGPKey(name, algorithm, expires string, flags ...string) string {
	l.t.Helper()
	who := name + "@example.com"
	l.gpg(append(flags, "--quick-gen-key", who, algorithm, "sign,cert", expires)...)
	for line := range strings.Lines(string(l.gpg("--with-colons", "--list-keys", who))) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			return fields[9]
		}
	}
	l.t.Fatalf("gpg made no key for %s", who)
	return ""
}

// export writes public keys to a file.
func (l *signingLab) export(keys ...string) string {
	l.t.Helper()
	return l.write(strings.Join(keys, "-")[:16]+".asc", string(l.gpg(append([]string{"--armor", "--export"}, keys...)...)))
}

// sshKey makes a key, which git believes, and returns the file of its public half.
func (l *signingLab) sshKey(name, kind string, flags ...string) string {
	l.t.Helper()
	path := filepath.Join(l.keys, name)
	l.run(nil, "ssh-keygen", append([]string{"-q", "-t", kind, "-N", "", "-C", name, "-f", path}, flags...)...)
	public := l.read(path + ".pub")
	l.write("allowed_signers", string(l.read(filepath.Join(l.keys, "allowed_signers")))+"test@example.com "+string(public))
	return path + ".pub"
}

func (l *signingLab) read(path string) []byte {
	l.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		l.t.Fatal(err)
	}
	return content
}

// signer is git's configuration for signing.
type signer []string

func byOpenPGP(key string) signer { return signer{"-c", "user.signingkey=" + key} }
func bySSH(public string) signer {
	return signer{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + public}
}

// withGPG signs with further flags for gpg.
func (l *signingLab) withGPG(key string, flags ...string) signer {
	l.t.Helper()
	script := filepath.Join(l.t.TempDir(), "gpg")
	content := "#!/bin/sh\nexec gpg --batch --quiet " + strings.Join(flags, " ") + " \"$@\"\n"
	// A process that another test starts meanwhile would inherit the open file, and
	// Linux executes no file that is open for writing.
	syscall.ForkLock.RLock()
	err := os.WriteFile(script, []byte(content), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		l.t.Fatal(err)
	}
	return append(byOpenPGP(key), "-c", "gpg.program="+script)
}

// commit makes a commit of a file, and returns it as it is stored.
func (l *signingLab) commit(by signer, message string, flags ...string) []byte {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, "fleet.yaml"), []byte(message), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.git("add", "--all")
	args := append(append([]string{}, by...), "commit", "--quiet", "--allow-empty", "--message", message)
	if by != nil {
		args = append(args, "--gpg-sign")
	}
	l.git(append(args, flags...)...)
	return l.object("HEAD")
}

// tag makes an annotated tag of HEAD, and returns it as it is stored.
func (l *signingLab) tag(by signer, name, message string) []byte {
	l.t.Helper()
	how := "--sign"
	if by == nil {
		how = "--annotate"
	}
	l.git(append(append([]string{}, by...), "tag", how, "--message", message, name)...)
	return l.object("refs/tags/" + name)
}

func (l *signingLab) object(name string) []byte {
	l.t.Helper()
	return l.run(nil, "git", "cat-file", l.git("cat-file", "-t", name), name)
}

// gitVerifies is what git says of an object.
func (l *signingLab) gitVerifies(kind string, raw []byte) bool {
	l.t.Helper()
	hash := strings.TrimSpace(string(l.run(raw, "git", "hash-object", "-t", kind, "-w", "--stdin", "--literally")))
	cmd := l.command("git", "-c", "gpg.ssh.allowedSignersFile="+filepath.Join(l.keys, "allowed_signers"), "verify-"+kind, hash)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	return err == nil
}

func trustKeys(t testing.TB, files ...string) *Keys {
	t.Helper()
	k, err := ReadKeys(files)
	if err != nil {
		t.Fatalf("ReadKeys(%q): %v", files, err)
	}
	return k
}

// verifyAs verifies an object of a kind.
func verifyAs(k *Keys, kind string, raw []byte) error {
	if kind == "tag" {
		return k.VerifyTag(raw)
	}
	return k.VerifyCommit(raw)
}

func wantVerified(t testing.TB, k *Keys, kind string, raw []byte) {
	t.Helper()
	if err := verifyAs(k, kind, raw); err != nil {
		t.Errorf("verify %s: %v, want it verified\n%s", kind, err, raw)
	}
}

// wantUnverified wants a refusal whose text says all of want.
func wantUnverified(t testing.TB, k *Keys, kind string, raw []byte, want ...string) {
	t.Helper()
	err := verifyAs(k, kind, raw)
	if err == nil {
		t.Errorf("the %s is verified, want it refused with %q\n%s", kind, want, raw)
		return
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("verify %s: %q, want it to say %q", kind, err, text)
		}
	}
}

// replaced is raw with one text in place of another, which must be in it.
func replaced(t testing.TB, raw []byte, old, with string) []byte {
	t.Helper()
	if !bytes.Contains(raw, []byte(old)) {
		t.Fatalf("there is no %q in %q", old, raw)
	}
	return bytes.Replace(raw, []byte(old), []byte(with), 1)
}

// shortID is what gpg calls a key.
func shortID(fingerprint string) string { return fingerprint[len(fingerprint)-16:] }
