/* term: see term.h. Widths are those of utf8proc (East Asian wide characters take two columns, combining ones none). */
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
