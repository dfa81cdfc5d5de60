/* fuzz: any bytes are an answer, of any form: what is told of it is the same whole and byte by byte, and what is told
 * of content and calls is of its bytes. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "call/parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void text(void *ctx, const char *s, size_t n) { buf_add(ctx, s, n); }
static void call(void *ctx, const char *name) { buf_addf(ctx, "\1%s\1", name); }
static void end(void *ctx, bool whole) { buf_addc(ctx, whole ? '\2' : '\3'); }

static void read_answer(const struct call_form *f, const char *s, size_t n, size_t step, const struct call_answer *how,
                        bool cut, struct buf *out)
{
	struct call_events events = { text, text, call, text, end, out };
	struct call_parser *p = call_parser_new(f, how, &events);

	for (size_t i = 0; i < n; i += step)
		call_parser_add(p, s + i, MIN(step, n - i));
	call_parser_end(p, cut);
	call_parser_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t forms = 0;

	if (n < 2 || n > 4096)
		return 0;
	while (call_form_table[forms])
		forms++;
	const struct call_form *f = call_form_table[data[0] % forms];
	struct call_answer how = { .thinks = (data[1] & 1) && f->thought, .formatted = data[1] & 0x80 };
	bool cut = data[1] & 2;
	struct buf whole = BUF_INIT, parts = BUF_INIT;
	const char *s = (const char *)data + 2;
	read_answer(f, s, n - 2, MAX(n, 1), &how, cut, &whole);
	read_answer(f, s, n - 2, 1 + (data[1] >> 2) % 7, &how, cut, &parts);
	if (whole.len != parts.len || memcmp(buf_str(&whole), buf_str(&parts), whole.len) != 0)
		BUG("%s: %s, not %s", f->name, buf_str(&parts), buf_str(&whole));
	if (whole.len > 6 * n + 8) /* a control character of an argument is six in JSON */
		BUG("more is told than there is");
	buf_release(&whole);
	buf_release(&parts);
	return 0;
}
