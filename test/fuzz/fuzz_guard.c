/* fuzz: any bytes are looked at by the built-in rules, within bounds, and every place that is told lies in them. An
 * expression that is accepted finds what its set says is there; another is refused by a sentence, and so are rules. One
 * of these a run, so that it is short: behind '/' stands an expression, behind ':' rules, anything else is a text. */
#include <stdint.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "guard/canonical.h"
#include "guard/guard.h"
#include "guard/regex.h"

static void check_result(const struct guard_result *r, size_t n)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct guard_finding *f = &r->findings[i];
		if (f->begin >= f->end || f->end > n || f->verdict > r->verdict || !(f->confidence >= 0.5))
			BUG("%s %zu..%zu of %zu bytes", f->rule, f->begin, f->end, n);
	}
}

static void look(struct guard_scratch *s, const char *text, size_t n)
{
	struct guard_result r;
	struct buf out = BUF_INIT;

	guard_look(s, text, n, &r);
	check_result(&r, n);
	guard_redact(&r, text, n, &out);
	json_decref(guard_json(&r, text, true));
	guard_result_release(&r);
	buf_release(&out);
}

static void canonical(const char *text, size_t n)
{
	struct canonical c = { .n = 0 };
	const struct canonical_limits *l = &canonical_usual;

	canonical_make(&c, text, n, NULL);
	if (c.n > l->texts || c.bytes > (1 << 16) + l->bytes * n || c.work > (1 << 21) + (l->work + 40) * n)
		BUG("%zu texts, %zu bytes, %llu steps of %zu bytes", c.n, c.bytes, (unsigned long long)c.work, n);
	canonical_release(&c);
}

/* The expression before the first line end, on what stands behind it. */
static void expression(const char *data, size_t n)
{
	const char *line = memchr(data, '\n', n);
	size_t k = line ? (size_t)(line - data) : n, begin, end;
	char *pattern = mem_strndup(data, MIN(k, (size_t)200));
	struct regex_set *s = regex_set_new();
	struct err e = ERR_INIT;
	uint64_t work = 0;
	bool found;

	if (regex_set_add(s, pattern, &e) == 0) {
		struct regex_scratch *x = regex_scratch_new(s);
		const char *text = line ? line + 1 : data;
		size_t left = MIN(line ? n - k - 1 : n, (size_t)2000); /* shorter than a match may be */
		if (regex_set_search(x, text, left, &found, &work, 1 << 22) &&
		    regex_find(x, 0, text, left, 0, &begin, &end, &work) != found)
			BUG("'%s' is %sfound", pattern, found ? "not " : "");
		regex_scratch_free(x);
	} else if (!e.msg[0]) {
		BUG("refused without a sentence");
	}
	regex_set_free(s);
	mem_free(pattern);
}

/* Rules of the bytes, alone, on the bytes. */
static void rules(const char *data, size_t n)
{
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	struct guard *g;

	buf_adds(&text, "builtin: false\n");
	buf_add(&text, data, MIN(n, (size_t)1000));
	if (guard_open_text(&g, buf_str(&text), text.len, "r.yaml", &e) == 0) {
		struct guard_scratch *s = guard_scratch_new(g);
		look(s, data, MIN(n, (size_t)1000));
		guard_scratch_free(s);
		guard_close(g);
	} else if (!e.msg[0]) {
		BUG("rules are refused without a sentence");
	}
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct guard *g;
	static struct guard_scratch *s;
	struct err e = ERR_INIT;

	if (!g && guard_open(&g, NULL, &e) < 0)
		BUG("%s", e.msg);
	if (!s)
		s = guard_scratch_new(g);
	if (n && data[0] == '/') {
		expression((const char *)data + 1, n - 1);
	} else if (n && data[0] == ':') {
		rules((const char *)data + 1, n - 1);
	} else {
		if (n % 4 == 0) /* look does the same, within bounds that it does not tell */
			canonical((const char *)data, n);
		look(s, (const char *)data, n);
	}
	return 0;
}
