module patchbay.io/tools/conformance

go 1.26.0

require (
	github.com/equinix/ecx-go/v2 v2.3.1
	github.com/equinix/equinix-sdk-go v0.66.0
	github.com/equinix/oauth2-go v1.0.0
	github.com/equinix/rest-go v1.3.0
	github.com/getkin/kin-openapi v0.152.0
	golang.org/x/oauth2 v0.26.0
	patchbay.io/services v0.0.0-00010101000000-000000000000
)

require (
	github.com/go-openapi/jsonpointer v0.22.5 // indirect
	github.com/go-openapi/swag/jsonname v0.25.5 // indirect
	github.com/go-resty/resty/v2 v2.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/gorilla/mux v1.8.0 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/oasdiff/yaml v0.1.1 // indirect
	github.com/oasdiff/yaml3 v0.0.14 // indirect
	github.com/rs/zerolog v1.35.1 // indirect
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	gopkg.in/validator.v2 v2.0.1 // indirect
	patchbay.io/pkg v0.0.0-00010101000000-000000000000 // indirect
)

replace (
	patchbay.io/pkg => ../../pkg
	patchbay.io/proto => ../../proto
	patchbay.io/services => ../../services
)
