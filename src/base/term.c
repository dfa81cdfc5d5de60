/* term: what a terminal can show, and text made harmless for it. Widths are those of utf8proc (East Asian wide
 * characters take two columns, combining ones none). */
#include "base/term.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/env.h"
#include "base/utf8.h"

static bool is_control(uint32_t cp) { return cp < 0x20 || (cp >= 0x7F && cp < 0xA0); }

bool term_is(int fd) { return isatty(fd); }

bool term_color(int fd)
{
	const char *kind = env_get("TERM");
	return term_is(fd) && !env_get("NO_COLOR") && !(kind && strcmp(kind, "dumb") == 0);
}

void term_size(int fd, int *columns, int *rows)
{
	struct winsize w = { 0 };
	bool known = ioctl(fd, TIOCGWINSZ, &w) == 0;
	*columns = known && w.ws_col > 0 ? w.ws_col : 80;
	*rows = known && w.ws_row > 0 ? w.ws_row : 24;
}

void term_text(struct buf *out, const char *s, size_t n)
{
	struct buf whole = BUF_INIT;
	utf8_repair(&whole, s, n);
	for (size_t at = 0, size; at < whole.len; at += size) {
		uint32_t cp;
		size = utf8_decode(whole.data + at, whole.len - at, &cp);
		if (is_control(cp))
			buf_adds(out, "\uFFFD");
		else
			buf_add(out, whole.data + at, size);
	}
	buf_release(&whole);
}

/* Bytes of a style (ESC [ digits and ; m) at s, 0 where there is none. */
static size_t style_length(const char *s, size_t n)
{
	size_t at = 2;

	if (n < 3 || s[0] != '\033' || s[1] != '[')
		return 0;
	while (at < n && ((s[at] >= '0' && s[at] <= '9') || s[at] == ';'))
		at++;
	return at < n && s[at] == 'm' ? at + 1 : 0;
}

/* A control's picture: U+2400 and on for those of ASCII, U+2421 for DEL; the others have none. */
static void add_picture(struct buf *out, uint32_t cp)
{
	char picture[4];

	buf_add(out, picture, utf8_encode(cp < 0x20 ? 0x2400 + cp : cp == 0x7F ? 0x2421 : 0xFFFD, picture));
}

static void add_shown(struct buf *out, const char *s, size_t n, bool styles)
{
	for (size_t at = 0, size; at < n; at += size) {
		uint32_t cp = 0xFFFD;
		size_t style = styles ? style_length(s + at, n - at) : 0;
		size = style ? style : utf8_decode(s + at, n - at, &cp);
		if (style || (size && (!is_control(cp) || cp == '\n' || cp == '\t')))
			buf_add(out, s + at, size);
		else
			add_picture(out, size ? cp : 0xFFFD);
		size = size ? size : 1;
	}
}

int term_write(FILE *to, const char *s, size_t n, bool styles)
{
	struct buf shown = BUF_INIT;

	if (term_is(fileno(to))) {
		add_shown(&shown, s, n, styles);
		fwrite(buf_str(&shown), 1, shown.len, to);
		buf_release(&shown);
	} else {
		fwrite(s, 1, n, to);
	}
	return fflush(to);
}

/* Bytes and columns of the character at s. */
static size_t step(const char *s, size_t n, size_t *columns)
{
	uint32_t cp;
	size_t size = utf8_decode(s, n, &cp);
	*columns = size && !is_control(cp) ? (size_t)utf8proc_charwidth((utf8proc_int32_t)cp) : 1;
	return size ? size : 1;
}

size_t term_columns(const char *s, size_t n)
{
	size_t sum = 0, columns;
	for (size_t at = 0; at < n; sum += columns)
		at += step(s + at, n - at, &columns);
	return sum;
}

size_t term_fit(const char *s, size_t n, size_t columns)
{
	size_t at = 0, used = 0, width;
	while (at < n) {
		size_t size = step(s + at, n - at, &width);
		if (used + width > columns)
			break;
		used += width;
		at += size;
	}
	return at;
}
