/* encoding_quoted_printable: RFC 2045's =XX, and the line end that = takes away. */
#include "guard/escapes.h"

static size_t read(const struct finder *f, size_t i, char out[8], size_t *n)
{
	if (i + 2 <= f->n && f->s[i + 1] == '\n')
		return 2;
	if (i + 3 > f->n || escapes_hex(f->s[i + 1]) < 0 || escapes_hex(f->s[i + 2]) < 0)
		return 0;
	out[0] = (char)(escapes_hex(f->s[i + 1]) << 4 | escapes_hex(f->s[i + 2]));
	*n = 1;
	return 3;
}

static void find(struct finder *f) { escapes_find(f, &(struct escapes){ '=', read, true }); }

static void encode(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "=%02X%s", (uint8_t)s[i], i % 25 == 24 ? "=\n" : "");
}

const struct encoding encoding_quoted_printable = {
	.name = "quoted-printable",
	.signs = "=",
	.find = find,
	.encode = encode,
};
