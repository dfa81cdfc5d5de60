/* guard_result: what was found, as a text without it and as JSON. Spans that are to be redacted may lie over each
 * other: what they cover together is replaced once, by the name of the first. */
#include "guard/guard.h"

#include <ctype.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/sha.h"

static void put_name(const char *rule, struct buf *out)
{
	const char *dot = strchr(rule, '.');

	buf_addc(out, '[');
	for (const char *c = dot ? dot + 1 : rule; *c; c++)
		buf_addc(out, *c == '-' ? '_' : (char)toupper((unsigned char)*c));
	buf_addc(out, ']');
}

const struct guard_finding *guard_gravest(const struct guard_result *r)
{
	const struct guard_finding *f = r->findings;

	for (size_t i = 1; i < r->n; i++)
		if (r->findings[i].verdict > f->verdict)
			f = &r->findings[i];
	return f;
}

void guard_redact(const struct guard_result *r, const char *text, size_t n, struct buf *out)
{
	size_t at = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct guard_finding *f = &r->findings[i];
		if (f->verdict != GUARD_REDACT || f->end <= at)
			continue;
		if (f->begin >= at) {
			buf_add(out, text + at, f->begin - at);
			put_name(f->rule, out);
		}
		at = f->end;
	}
	buf_add(out, text + at, n - at);
}

json_t *guard_json(const struct guard_result *r, const char *text, bool texts)
{
	json_t *all = json_array(), *j;
	char hex[65];

	for (size_t i = 0; i < r->n; i++) {
		const struct guard_finding *f = &r->findings[i];
		j = json_pack("{s:s, s:s, s:I, s:I, s:f}", "rule", f->rule, "verdict", guard_verdict_names[f->verdict],
		              "begin", (json_int_t)f->begin, "end", (json_int_t)f->end, "confidence", f->confidence);
		if (f->path[0])
			json_object_set_new(j, "encoded", json_string(f->path));
		if (!texts)
			sha_256(text + f->begin, f->end - f->begin, hex);
		if (texts)
			json_object_set_new(j, "text", jsonx_text(text + f->begin, f->end - f->begin));
		else
			json_object_set_new(j, "sha256", json_string(hex));
		json_array_append_new(all, j);
	}
	j = json_pack("{s:s, s:o}", "verdict", guard_verdict_names[r->verdict], "findings", all);
	if (r->more)
		json_object_set_new(j, "more_findings", json_integer((json_int_t)r->more));
	if (r->capped)
		json_object_set_new(j, "capped", json_string(r->capped));
	return j;
}

void guard_result_release(struct guard_result *r)
{
	mem_free(r->findings);
	arena_release(&r->mem);
	*r = (struct guard_result){ .n = 0 };
}
