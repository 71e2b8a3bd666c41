package interop

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestChromium(t *testing.T) {
	program := findProgram(t, "Chromium", "apt-get install chromium",
		"chromium", "chromium-browser", "google-chrome")
	f, dir := newRunServers(t), scratch(t)
	logVersion(t, home(dir), program, "--version")
	testBrowser(t, &browser{
		runServers: f,
		traits:     traits{idOnly: true, givesUp: true, foreignHost: true},
		process: start(t, home(dir), program,
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
			"--disable-quic", "--disable-background-networking", "--disable-component-update",
			"--disable-sync", "--disable-breakpad", "--no-first-run",
			"--no-default-browser-check", "--ignore-certificate-errors",
			"--host-resolver-rules=MAP "+reboundHost+" 127.0.0.1",
			"--user-data-dir="+filepath.Join(dir, "profile"), f.plain.URL),
	})
}

func TestFirefox(t *testing.T) {
	program := findProgram(t, "Firefox", "apt-get install firefox-esr", "firefox-esr", "firefox")
	f, dir := newRunServers(t), scratch(t)
	logVersion(t, home(dir), program, "--version")
	testBrowser(t, &browser{
		runServers: f,
		traits:     traits{mangle: dropNUL, givesUp: true, needsServer: true, foreignHost: true},
		process: start(t, home(dir), program,
			"--headless", "--no-remote", "--profile", firefoxProfile(t, f, dir), f.plain.URL),
	})
}

func TestWebKit(t *testing.T) {
	program := findProgram(t, "MiniBrowser of WebKitGTK", "apt-get install webkit2gtk-driver",
		"/usr/lib/*/webkit2gtk-4.*/MiniBrowser", "/usr/libexec/webkit2gtk-4.*/MiniBrowser")
	xvfb := findProgram(t, "Xvfb", "apt-get install xvfb", "Xvfb")
	f, dir := newRunServers(t), scratch(t)
	screen := start(t, home(dir), xvfb,
		"-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset")
	env := append(home(dir),
		"DISPLAY=:"+strings.TrimSpace(screen.firstLine(t)),
		"NO_AT_BRIDGE=1", "GTK_A11Y=none", "LIBGL_ALWAYS_SOFTWARE=1",
		"WEBKIT_DISABLE_COMPOSITING_MODE=1", "WEBKIT_DISABLE_DMABUF_RENDERER=1")
	logVersion(t, env, program, "--version")
	testBrowser(t, &browser{
		runServers: f,
		traits:     traits{idOnly: true, blindHTTP2: true},
		process: start(t, env, program, "--private", "--ignore-tls-errors",
			"--cookies-policy=always", // because WebKit treats two hosts of localhost as two sites
			f.plain.URL),
	})
}

// dropNUL changes an event as Firefox does: its parser skips U+0000 everywhere.
// According to HTML 9.2.6, U+0000 has a special meaning only in an ID.
func dropNUL(e received) received {
	e.Data = strings.ReplaceAll(e.Data, "\x00", "")
	return e
}

// home returns an environment in which a program stores its files in dir, and does
// not start a session bus. The program would not stop such a bus.
func home(dir string) []string {
	return []string{
		"HOME=" + dir, "TMPDIR=" + dir,
		"XDG_CONFIG_HOME=" + dir, "XDG_CACHE_HOME=" + dir,
		"XDG_DATA_HOME=" + dir, "XDG_RUNTIME_DIR=" + dir,
		"DBUS_SESSION_BUS_ADDRESS=disabled:",
	}
}

// firefoxPreferences prevent Firefox from using the network, and from showing
// dialogs and pages at its first start.
const firefoxPreferences = `
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.safebrowsing.downloads.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.dns.localDomains", "` + reboundHost + `");
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.enabled", false);
`

// firefoxProfile creates a profile that accepts the certificate of f, and
// returns its directory.
func firefoxProfile(t *testing.T, f *runServers, dir string) string {
	t.Helper()
	profile := filepath.Join(dir, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	const sha256 = "OID.2.16.840.1.101.3.4.2.1"
	var overrides strings.Builder
	for _, server := range []*httptest.Server{f.tls1, f.tls2} {
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"127.0.0.1", pageHost, eventsHost} {
			fmt.Fprintf(&overrides, "%s:%s:\t%s\t%s\t\n", host, u.Port(), sha256, f.cert.fingerprint())
		}
	}
	for name, text := range map[string]string{
		"user.js":           firefoxPreferences,
		"cert_override.txt": overrides.String(),
	} {
		if err := os.WriteFile(filepath.Join(profile, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return profile
}
