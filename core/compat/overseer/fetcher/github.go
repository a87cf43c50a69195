package fetcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"
)

// maxListing bounds the description of a release, in bytes.
const maxListing = 8 << 20

// Github gets an asset of the latest release of a public repository, when that is another one than before. The first
// time it always does. An asset that ends in .gz is decompressed. The signature of shop-linux-amd64.gz is the asset
// shop-linux-amd64.minisig, and is the signature of the program itself.
type Github struct {
	User, Repo string
	Interval   time.Duration // between two looks; 0: 5 min. GitHub answers 60 requests an hour of one address

	// Asset chooses the asset by its name. nil: the one in whose name both GOOS and GOARCH are whole words, and which is
	// neither a signature, a checksum nor an archive.
	Asset func(filename string) bool

	// API is the address of the API; empty: https://api.github.com. Package overseer does not have it.
	API string

	delay bool
	etag  string // of the listing whose asset was read
	last  string // what stands for that asset
}

// Init checks User and Repo, and sets the rest.
func (h *Github) Init() error {
	switch {
	case h.User == "":
		return errors.New("fetcher.Github needs a User")
	case h.Repo == "":
		return errors.New("fetcher.Github needs a Repo")
	}
	if h.Asset == nil {
		h.Asset = defaultAsset
	}
	if h.API == "" {
		h.API = "https://api.github.com"
	}
	if h.Interval == 0 {
		h.Interval = defaultInterval
	}
	return nil
}

// notPrograms are the ends of names that are none of a program.
var notPrograms = []string{
	SignatureSuffix, ".sig", ".asc", ".pem", ".sha256", ".sha512", ".sha1", ".md5", ".txt", ".json",
	".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".zip", ".deb", ".rpm", ".apk",
}

func defaultAsset(filename string) bool {
	for _, end := range notPrograms {
		if strings.HasSuffix(filename, end) {
			return false
		}
	}
	words := strings.FieldsFunc(filename, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	arch := func(w string) bool {
		return w == runtime.GOARCH || runtime.GOARCH == "arm" && strings.HasPrefix(w, "armv")
	}
	return slices.Contains(words, runtime.GOOS) && slices.ContainsFunc(words, arch)
}

// asset is what GitHub says of one.
type asset struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	URL     string `json:"browser_download_url"`
	Updated string `json:"updated_at"`
}

// Fetch waits for Interval, but not the first time, and returns the asset if it is another one than was read to its end.
func (h *Github) Fetch() (io.Reader, error) {
	if h.delay {
		time.Sleep(h.Interval)
	}
	h.delay = true
	assets, tag, etag, err := h.latest()
	if err != nil || assets == nil {
		return nil, err
	}
	i := slices.IndexFunc(assets, func(a asset) bool { return h.Asset(a.Name) })
	if i < 0 {
		return nil, fmt.Errorf("no asset of release %s of %s/%s is for %s/%s", tag, h.User, h.Repo, runtime.GOOS, runtime.GOARCH)
	}
	a := assets[i]
	stamp := fmt.Sprintf("%d %s %s", a.ID, a.Name, a.Updated)
	if stamp == h.last {
		h.etag = etag
		return nil, nil
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, a.URL, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := get(req, 0)
	if err != nil {
		return nil, err
	}
	return program(resp, a.Name, func() { h.etag, h.last = etag, stamp }, func() ([]byte, error) {
		name := signatureOf(a.Name)
		i := slices.IndexFunc(assets, func(a asset) bool { return a.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("release %s has no asset %s", tag, name)
		}
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, assets[i].URL, http.NoBody)
		if err != nil {
			return nil, err
		}
		return small(req)
	})
}

// latest returns the assets of the latest release; nil if it is the one whose asset was read. Asking for that costs
// nothing of the rate limit.
func (h *Github) latest() (assets []asset, tag, etag string, err error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet,
		strings.TrimSuffix(h.API, "/")+"/repos/"+h.User+"/"+h.Repo+"/releases/latest", http.NoBody)
	if err != nil {
		return nil, "", "", err
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	if h.etag != "" {
		req.Header.Set("If-None-Match", h.etag)
	}
	resp, err := get(req, headTime)
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusNotModified {
		return nil, "", "", nil
	}
	if err != nil {
		return nil, "", "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var latest struct {
		Tag    string  `json:"tag_name"`
		Assets []asset `json:"assets"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxListing)).Decode(&latest); err != nil {
		return nil, "", "", fmt.Errorf("the latest release of %s/%s: %w", h.User, h.Repo, err)
	}
	if latest.Assets == nil {
		latest.Assets = []asset{}
	}
	return latest.Assets, latest.Tag, resp.Header.Get("ETag"), nil
}
