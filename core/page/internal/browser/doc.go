// Package browser has the tests of the page in Debian's Chromium.
package browser
