/* grammar-accepts: for tools/check-grammar. Each line of stdin is {"kind": "schema" or "regex", "is": …, "texts": [text …]}; each line of stdout is
 * {"accepts": [bool …], "drawn": [text …]} (texts that its masks allow, over all bytes) or {"error": …}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "grammar/grammar.h"

enum { DRAWN = 4, BYTES = 400 };

static struct grammar_vocabulary *bytes(void)
{
	static char byte[256][2];
	const char *text[256] = { NULL };
	struct tokens ends = { 0 };

	for (int i = 1; i < 256; i++) {
		byte[i][0] = (char)i;
		text[i] = byte[i];
	}
	tokens_add(&ends, 0);
	struct grammar_vocabulary *v = grammar_vocabulary_of(text, 256, &ends);
	tokens_release(&ends);
	return v;
}

/* true: it ended. */
static bool draw(struct grammar *g, uint64_t seed, struct buf *out)
{
	struct grammar_match *m = grammar_match_new(g);
	bool over = false;

	for (size_t step = 0; step < BYTES && !over; step++) {
		size_t allowed;
		const uint64_t *mask = grammar_match_mask(m, &allowed);
		uint32_t words[4];
		rng_words((struct rng_key){ seed, RNG_SAMPLE }, step, 0, 0, words);
		if (!allowed || ((mask[0] & 1) && (step > 60 || words[1] % 8 == 0)))
			break;
		int id = -1;
		for (size_t pick = words[0] % (allowed - (mask[0] & 1)), i = 1; id < 0; i++)
			if (mask[i / 64] >> (i & 63) & 1 && !pick--)
				id = (int)i;
		grammar_match_add(m, id);
		buf_addc(out, (char)id);
		over = grammar_match_is_over(m);
	}
	over |= grammar_match_may_end(m);
	grammar_match_free(m);
	return over;
}

static json_t *try_all(struct grammar *g, const json_t *texts)
{
	json_t *accepts = json_array(), *drawn = json_array(), *text;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)texts, i, text)
		json_array_append_new(accepts, json_boolean(grammar_accepts(g, json_string_value(text),
		                                                            json_string_length(text), NULL)));
	for (uint64_t seed = 0; seed < DRAWN; seed++) {
		struct buf out = BUF_INIT;
		if (draw(g, seed, &out))
			json_array_append_new(drawn, json_stringn(buf_str(&out), out.len));
		buf_release(&out);
	}
	return json_pack("{s:o, s:o}", "accepts", accepts, "drawn", drawn);
}

int main(void)
{
	struct grammar_vocabulary *v = bytes();
	static char line[1 << 20];

	while (fgets(line, sizeof(line), stdin)) {
		struct err e = ERR_INIT;
		struct buf gbnf = BUF_INIT;
		json_t *job = json_loads(line, 0, NULL), *is = json_object_get(job, "is");
		bool schema = !strcmp(json_string_value(json_object_get(job, "kind")), "schema");
		int status = schema ? grammar_of_schema(is, &gbnf, &e) :
		                      grammar_of_regex(json_string_value(is), json_string_length(is), &gbnf, &e);
		struct grammar *g = status == 0 ? grammar_new(buf_str(&gbnf), gbnf.len, v, &e) : NULL;
		json_t *result = g ? try_all(g, json_object_get(job, "texts")) : json_pack("{s:s}", "error", e.msg);
		char *said = jsonx_line(result);
		puts(said);
		fflush(stdout);
		mem_free(said);
		json_decref(result);
		json_decref(job);
		grammar_free(g);
		buf_release(&gbnf);
	}
	grammar_vocabulary_free(v);
	return 0;
}
