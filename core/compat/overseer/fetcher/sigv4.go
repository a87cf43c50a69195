package fetcher

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// credentials sign requests to S3.
type credentials struct{ id, secret, token string }

func (s *S3) credentials(ctx context.Context) (credentials, error) {
	if s.Access != "" && s.Secret != "" {
		return credentials{id: s.Access, secret: s.Secret}, nil
	}
	c := credentials{id: os.Getenv("AWS_ACCESS_KEY_ID"), secret: os.Getenv("AWS_SECRET_ACCESS_KEY"), token: os.Getenv("AWS_SESSION_TOKEN")}
	if c.id == "" {
		c.id = os.Getenv("AWS_ACCESS_KEY")
	}
	if c.id != "" && c.secret != "" {
		return c, nil
	}
	c, err := roleOfMachine(ctx, metadata)
	if err != nil {
		return c, fmt.Errorf("no credentials for S3: give Access and Secret, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment: %w", err)
	}
	return c, nil
}

// metadata is where a machine on EC2 learns of itself: "Use IMDS" in the user guide of EC2.
const metadata = "http://169.254.169.254/latest/"

// roleOfMachine returns the credentials of the role of the machine on EC2, by IMDSv2. They are asked for each time,
// because they expire.
func roleOfMachine(ctx context.Context, at string) (c credentials, err error) {
	ask := func(method, path, header, value string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, method, at+path, http.NoBody)
		if err != nil {
			return "", err
		}
		req.Header.Set(header, value)
		client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}} // never by a proxy
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return "", &statusError{method, at + path, resp.StatusCode}
		}
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxSignature))
		return strings.TrimSpace(string(b)), err
	}
	token, err := ask(http.MethodPut, "api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
	if err != nil {
		return c, err
	}
	const roles = "meta-data/iam/security-credentials/"
	role, err := ask(http.MethodGet, roles, "X-aws-ec2-metadata-token", token)
	if err != nil {
		return c, err
	}
	role, _, _ = strings.Cut(role, "\n")
	text, err := ask(http.MethodGet, roles+role, "X-aws-ec2-metadata-token", token)
	if err != nil {
		return c, err
	}
	var got struct{ AccessKeyId, SecretAccessKey, Token string } //nolint:revive // Amazon's names
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		return c, errors.New("the machine's role has no credentials")
	}
	return credentials{got.AccessKeyId, got.SecretAccessKey, got.Token}, nil
}

// noBody is the SHA-256 of nothing.
const noBody = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// sign signs a request without a query and a body, by "Authenticating Requests: Using the Authorization Header (AWS
// Signature Version 4)" in the API reference of Amazon S3. All headers that the request has by then are signed.
func (c credentials) sign(req *http.Request, region string, now time.Time) {
	stamp := now.UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/" + region + "/s3/aws4_request"
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-Content-Sha256", noBody)
	if c.token != "" {
		req.Header.Set("X-Amz-Security-Token", c.token)
	}
	lines := []string{"host:" + req.URL.Host}
	for name, values := range req.Header {
		lines = append(lines, strings.ToLower(name)+":"+strings.Join(values, ","))
	}
	slices.Sort(lines)
	names := make([]string, len(lines))
	for i, line := range lines {
		names[i], _, _ = strings.Cut(line, ":")
	}
	signed := strings.Join(names, ";")
	canonical := sha256.Sum256([]byte(strings.Join([]string{
		req.Method, req.URL.EscapedPath(), "", strings.Join(lines, "\n"), "", signed, noBody,
	}, "\n")))
	key := []byte("AWS4" + c.secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hex.EncodeToString(canonical[:])}, "\n")))
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.id+"/"+scope+",SignedHeaders="+signed+",Signature="+signature)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// escapePath escapes a path as the signature wants it: all but the unreserved characters of RFC 3986 and the slash.
func escapePath(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
