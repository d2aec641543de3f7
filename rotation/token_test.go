package rotation_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

func key(id uint32, fill byte) rotation.Key {
	return rotation.Key{ID: id, Secret: bytes.Repeat([]byte{fill}, rotation.MinSecretLen)}
}

func newCodec(t testing.TB, keys ...rotation.Key) *rotation.Codec {
	t.Helper()
	c, err := rotation.NewCodec(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sampleToken() rotation.Token {
	return rotation.Token{
		Session:  rotation.SessionID{0xfe, 1, 2, 3, 15: 0xff},
		Position: rotation.Position{Generation: math.MaxUint32, Branch: math.MaxUint64 - 1},
		IssuedAt: time.UnixMilli(1_772_366_400_123),
	}
}

func TestTokenRoundTrip(t *testing.T) {
	codec := newCodec(t, key(7, 'a'))
	for _, want := range []rotation.Token{
		sampleToken(),
		{IssuedAt: time.UnixMilli(0)},
	} {
		text := codec.Encode(want)
		if !strings.HasPrefix(text, rotation.Prefix) || len(text) != rotation.EncodedLen {
			t.Errorf("a token of %d bytes with the prefix %.10s", len(text), text)
		}
		got, err := codec.Decode(text)
		if err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	codec := newCodec(t, key(7, 'a'))
	good := codec.Encode(sampleToken())
	otherVersion := rotation.Prefix + "Ag" + good[len(rotation.Prefix)+2:]

	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"nothing", "", rotation.ErrMalformed},
		{"undefined, as front ends store it", "undefined", rotation.ErrMalformed},
		{"the prefix alone", rotation.Prefix, rotation.ErrMalformed},
		{"a token without its prefix", good[len(rotation.Prefix):], rotation.ErrMalformed},
		{"a JWT", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln", rotation.ErrMalformed},
		{"cut short", good[:len(good)-1], rotation.ErrMalformed},
		{"one character too many", good + "A", rotation.ErrMalformed},
		{"a line break, which base64 decoders pass over", good[:40] + "\n" + good[41:], rotation.ErrMalformed},
		{"the other base64 alphabet", good[:40] + "+" + good[41:], rotation.ErrMalformed},
		{"a version to come", otherVersion, rotation.ErrMalformed},
		{"another server's key", newCodec(t, key(8, 'a')).Encode(sampleToken()), rotation.ErrUnknownKey},
		{"a key of ours by name only", newCodec(t, key(7, 'b')).Encode(sampleToken()), rotation.ErrForged},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := codec.Decode(c.text)
			if !errors.Is(err, c.want) || got != (rotation.Token{}) {
				t.Errorf("got %+v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestEveryChangedCharacterIsNoticed(t *testing.T) {
	codec := newCodec(t, key(7, 'a'))
	good := codec.Encode(sampleToken())
	for i := range good {
		other := byte('A')
		if good[i] == 'A' {
			other = 'B'
		}
		if _, err := codec.Decode(good[:i] + string(other) + good[i+1:]); err == nil {
			t.Errorf("character %d may be changed", i)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	before, after := key(1, 'a'), key(2, 'b')
	old := newCodec(t, before).Encode(sampleToken())

	both := newCodec(t, after, before)
	if _, err := both.Decode(old); err != nil {
		t.Errorf("a token made with the retired key: %v", err)
	}
	if _, err := newCodec(t, after).Decode(both.Encode(sampleToken())); err != nil {
		t.Errorf("the first key is not the one in use: %v", err)
	}
	if _, err := newCodec(t, after).Decode(old); !errors.Is(err, rotation.ErrUnknownKey) {
		t.Errorf("a removed key: %v", err)
	}
}

func TestNewCodecRefusesKeys(t *testing.T) {
	short := key(9, 'a')
	short.Secret = short.Secret[1:]
	for name, keys := range map[string][]rotation.Key{
		"none": nil, "short": {short}, "twice": {key(1, 'a'), key(1, 'b')},
	} {
		if _, err := rotation.NewCodec(keys...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSecretsStayOutOfPrints(t *testing.T) {
	k := key(0x1234, 'Z')
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, k); strings.Contains(s, "ZZ") || strings.Contains(s, "90, 90") || strings.Contains(s, "90 90") || strings.Contains(s, "0x5a") {
			t.Errorf("%s prints the secret: %s", verb, s)
		}
	}
}

func TestSessionIDText(t *testing.T) {
	id := sampleToken().Session
	got, err := rotation.ParseSessionID(id.String())
	if err != nil || got != id {
		t.Errorf("got %v, %v; want %v", got, err, id)
	}
	for _, bad := range []string{"", "abc", strings.Repeat("g", 32), id.String() + "00"} {
		if _, err := rotation.ParseSessionID(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestCodecIsSafeForConcurrentUse(t *testing.T) {
	codec := newCodec(t, key(1, 'a'))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			want := sampleToken()
			want.Branch = uint64(i)
			for range 500 {
				if got, err := codec.Decode(codec.Encode(want)); err != nil || got != want {
					t.Errorf("got %+v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Decode refuses every text that differs from what Encode returns for the decoded token.
func FuzzDecode(f *testing.F) {
	codec := newCodec(f, key(7, 'a'))
	f.Add(codec.Encode(sampleToken()))
	f.Add(codec.Encode(rotation.Token{IssuedAt: time.UnixMilli(0)}))
	f.Add(rotation.Prefix + strings.Repeat("A", rotation.EncodedLen-len(rotation.Prefix)))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := codec.Decode(s)
		if err != nil {
			return
		}
		if again := codec.Encode(token); again != s {
			t.Errorf("two spellings of one token: %q and %q", s, again)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	codec := newCodec(b, key(7, 'a'))
	text := codec.Encode(sampleToken())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	codec := newCodec(b, key(7, 'a'))
	token := sampleToken()
	b.ReportAllocs()
	for b.Loop() {
		codec.Encode(token)
	}
}
