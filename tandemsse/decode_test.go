package tandemsse

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"testing"
	"testing/iotest"
)

// Compressed data decodes to the original, however it is split; other data gives an
// error or a few bytes, and never a panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("data: x\n\n"))
	f.Add([]byte{})
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0})
	f.Add([]byte{0x78, 0x9c, 3, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var zipped, deflated bytes.Buffer
		for _, part := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
			z := gzip.NewWriter(&zipped) // one member per part
			_, _ = z.Write(part)
			_ = z.Close()
		}
		z := zlib.NewWriter(&deflated)
		_, _ = z.Write(data)
		_ = z.Close()
		for encoding, compressed := range map[string]*bytes.Buffer{"gzip": &zipped, "deflate": &deflated} {
			if got, err := io.ReadAll(decode(iotest.OneByteReader(compressed), encoding)); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: got %q, %v; want %q", encoding, got, err, data)
			}
			_, _ = io.Copy(io.Discard, io.LimitReader(decode(bytes.NewReader(data), encoding), 1<<20))
		}
	})
}
