package sqlitefile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tandem-auth/tandem/keys"
)

// The permissions that people and platforms give to secrets, and the error for each
// that is too open.
func TestModesOfSecrets(t *testing.T) {
	const root, us, somebody = 0, 1000, 1001
	for name, c := range map[string]struct {
		secret
		want string // empty: accepted
	}{
		"our own":                            {secret{mode: 0o600, owner: us}, ""},
		"our own, read-only":                 {secret{mode: 0o400, owner: us}, ""},
		"our own, for the group":             {secret{mode: 0o640, owner: us}, "run chmod 600 FILE"},
		"our own, for all, in our folder":    {secret{mode: 0o644, owner: us, shut: true}, "run chmod 600 FILE"},
		"Kubernetes with fsGroup":            {secret{mode: 0o440, owner: root}, ""},
		"systemd's credentials":              {secret{mode: 0o440, owner: root, onReadOnly: true, shut: true}, ""},
		"Debian's way: root and a group":     {secret{mode: 0o640, owner: root}, ""},
		"Kubernetes by default":              {secret{mode: 0o644, owner: root, onReadOnly: true}, ""},
		"Docker Swarm":                       {secret{mode: 0o444, owner: root, onReadOnly: true, inSecrets: true}, ""},
		"Podman":                             {secret{mode: 0o444, owner: root, inSecrets: true}, ""},
		"Docker Compose, a file of the host": {secret{mode: 0o664, owner: somebody, onReadOnly: true, inSecrets: true}, ""},
		"in a folder that is shut":           {secret{mode: 0o444, owner: root, shut: true}, ""},
		"root's, for all":                    {secret{mode: 0o444, owner: root}, "have its owner, the user 0"},
		"root's, for all to write":           {secret{mode: 0o666, owner: root, inSecrets: true}, "can be written by others"},
		"root's, for the group to write":     {secret{mode: 0o660, owner: root}, "can be written by others"},
		"somebody's, for the group":          {secret{mode: 0o440, owner: somebody}, "mount it as a read-only secret"},
	} {
		t.Run(name, func(t *testing.T) {
			c.path, c.self = "FILE", us
			err := c.check()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("root's own as root", func(t *testing.T) {
		for mode, accepted := range map[fs.FileMode]bool{0o400: true, 0o440: true, 0o640: false, 0o444: false} {
			if err := (secret{mode: mode}).check(); (err == nil) != accepted {
				t.Errorf("%04o: %v", mode, err)
			}
		}
	})
}

func masterKeyText(t *testing.T) []byte {
	t.Helper()
	key, err := keys.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	return key.Marshal()
}

// ReadMasterKeys accepts a secret on a read-only mount, whatever its mode, and follows the
// links that Kubernetes makes.
func TestASecretThatIsMountedReadOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts, as root on Linux")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	if err := os.Mkdir(filepath.Join(dir, "..2026_01_01"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "master.key")
	for link, to := range map[string]string{filepath.Join(dir, "..data"): "..2026_01_01", path: "..data/master.key"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, masterKeyText(t), 0o644); err != nil { //nolint:gosec // as Kubernetes does
		t.Fatal(err)
	}
	if _, err := ReadMasterKeys(path); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("while the mount can be written: %v", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMasterKeys(path); err != nil {
		t.Error(err)
	}
}

// ReadMasterKeys does not hang for a path that is not a regular file, and reads a pipe
// from a shell's <(…).
func TestASecretFromAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMasterKeys(path); err == nil {
		t.Error("a pipe without a writer had a key")
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if _, err := write.Write(masterKeyText(t)); err != nil {
		t.Fatal(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMasterKeys("/proc/self/fd/" + strconv.FormatUint(uint64(read.Fd()), 10)); err != nil {
		t.Error(err)
	}
}
