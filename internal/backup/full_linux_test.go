package backup_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/internal/backup"
)

// A safeLog may be read while it is written.
type safeLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *safeLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// On a full disk the earlier backup stays, nothing half-written does, the error names the
// cause, and the next try succeeds once there is room.
func TestAFullDisk(t *testing.T) {
	p := newPlace(t)
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", p.dir, "tmpfs", 0, "mode=700,size=64k"); err != nil {
		if errors.Is(err, syscall.EPERM) {
			t.Skip("only root may mount")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(p.dir, 0); err != nil {
			t.Error(err)
		}
	})
	earlier := "tandem-19991201T000000Z.tar"
	if err := os.WriteFile(filepath.Join(p.dir, earlier), []byte("earlier"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log safeLog
		c := p.config()
		c.Keep = 1
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		s, err := backup.Start(c)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		p.want(earlier)
		if !strings.Contains(log.String(), "full") && !strings.Contains(log.String(), "no space left on device") {
			t.Errorf("the log does not name the cause: %s", log.String())
		}
		if err := syscall.Mount("tmpfs", p.dir, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		p.want("tandem-20000101T000100Z.tar")
	})
}
