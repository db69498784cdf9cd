package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"patchbay.io/pkg/secret"
)

// canary is a secret whose every spelling is looked for in what comes out.
const canary = "c4n4ry-7Zq"

// spellings are the ways in which an encoder might show the canary.
func spellings() []string {
	return []string{
		canary,
		fmt.Sprintf("%x", canary),
		fmt.Sprintf("%X", canary),
		fmt.Sprintf("% x", canary),
		strings.Trim(fmt.Sprintf("%v", []byte(canary)), "[]"),
		"YzRuNHJ5LTdacQ", // base64
	}
}

func checkHidden(t *testing.T, how, got string) {
	t.Helper()
	for _, s := range spellings() {
		if strings.Contains(got, s) {
			t.Errorf("%s shows the secret: %q", how, got)
		}
	}
}

// holder has a secret in each place where fmt and the encoders can call its methods.
type holder struct {
	S secret.Secret            `yaml:"s"`
	P *secret.Secret           `yaml:"p"`
	L []secret.Secret          `yaml:"l"`
	M map[string]secret.Secret `yaml:"m" xml:"-"`
	K secret.Key               `yaml:"k"`
}

func held() holder {
	s := secret.Secret(canary)
	return holder{S: s, P: &s, L: []secret.Secret{s}, M: map[string]secret.Secret{"k": s}, K: key(canary)}
}

// key returns a key that starts with text.
func key(text string) secret.Key {
	var raw [32]byte
	copy(raw[:], text)
	return secret.NewKey(raw)
}

func TestNoVerbShowsASecret(t *testing.T) {
	h := held()
	values := map[string]any{
		"secret": h.S, "pointer": h.P, "slice": h.L, "map": h.M, "struct": h, "struct pointer": &h,
		"key": h.K, "keys": []secret.Key{h.K}, "hidden key": struct{ k secret.Key }{h.K},
	}
	for name, v := range values {
		for verb := 'A'; verb <= 'z'; verb++ {
			if verb == 'p' || verb == 'w' {
				continue // fmt calls no method for these two; go vet refuses them
			}
			for _, flags := range []string{"", "+", "#", " ", "-20", "020", ".3"} {
				format := "%" + flags + string(verb)
				checkHidden(t, name+" "+format, fmt.Sprintf(format, v))
			}
		}
		checkHidden(t, name+" Sprint", fmt.Sprint(v))
		checkHidden(t, name+" Errorf", fmt.Errorf("call: %v", v).Error())
	}
}

func TestSecretPrintsTheMask(t *testing.T) {
	for _, format := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%d", "%10s"} {
		if got := fmt.Sprintf(format, secret.Secret(canary)); got != "***" {
			t.Errorf("Sprintf(%q) = %q, want *** so that nothing, its length included, shows", format, got)
		}
		if got := fmt.Sprintf(format, key(canary)); got != "***" {
			t.Errorf("Sprintf(%q) of a key = %q, want ***", format, got)
		}
	}
	if got := secret.Secret("").String(); got != "***" {
		t.Errorf("the empty secret prints as %q, want ***: emptiness is news too", got)
	}
}

func TestNoEncoderShowsASecret(t *testing.T) {
	h := held()
	encoders := map[string]func() ([]byte, error){
		"json": func() ([]byte, error) { return json.Marshal(h) },
		"yaml": func() ([]byte, error) { return yaml.Marshal(h) },
		"xml":  func() ([]byte, error) { return xml.Marshal(h) },
		"gob": func() ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(struct{ S secret.Secret }{h.S})
			return b.Bytes(), err
		},
		"zerolog": func() ([]byte, error) {
			var b bytes.Buffer
			log := zerolog.New(&b)
			log.Info().Interface("a", h).Any("b", h.S).Object("c", h.S).Stringer("d", h.S).
				EmbedObject(h.S).Interface("e", h.K).Object("f", h.K).Stringer("g", h.K).Msgf("%v", h)
			return b.Bytes(), nil
		},
		"slog": func() ([]byte, error) {
			var b bytes.Buffer
			slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "a", h.S, "b", h, "c", h.K)
			slog.New(slog.NewTextHandler(&b, nil)).Info("x", "a", h.S, "b", h, "c", h.K)
			return b.Bytes(), nil
		},
	}
	for name, encode := range encoders {
		t.Run(name, func(t *testing.T) {
			got, err := encode()
			if err != nil {
				t.Fatalf("encode: %v", err)
			}
			checkHidden(t, name, string(got))
			if !bytes.Contains(got, []byte("***")) {
				t.Errorf("%s = %q, want *** in it, which shows that the secret was met", name, got)
			}
		})
	}
}

func TestSecretIsDecodedLikeAnyString(t *testing.T) {
	var fromJSON, fromYAML struct {
		Token secret.Secret `json:"token" yaml:"token"`
	}
	if err := json.Unmarshal([]byte(`{"token":"`+canary+`"}`), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte("token: "+canary), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if fromJSON.Token.Reveal() != canary || fromYAML.Token.Reveal() != canary {
		t.Error("a decoded secret is not the text that was read; adapters read tokens this way")
	}
}

func ExampleSecret() {
	token := secret.Secret("b7c3")
	fmt.Println(token)
	fmt.Printf("%#v %x\n", token, token)
	fmt.Println("Bearer " + token.Reveal())
	// Output:
	// ***
	// *** ***
	// Bearer b7c3
}
