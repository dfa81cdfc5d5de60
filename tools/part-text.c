/* part-text: for tools/check-injection. Each line of stdin is {"template": …, "specials": [texts of special tokens], "texts": [retrieved ones]};
 * for each text the template writes a user's turn with it as a source, as it is and parted (token/parted.h), and the special tokens of the
 * whole prompt are compared with those around a harmless source. Each line of stdout: {"texts": N, "bad": where a special token came or went
 * though it was parted, "open": the same of texts as they are, "parted": tokens that were} or {"error": …}.
 *
 *     part-text MODEL            a GGUF or a folder, whose tokenizer gets these special tokens too */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "template/template.h"
#include "token/parted.h"

static json_t *variables(const char *text)
{
	json_t *turn = json_object();
	char *content = mem_printf("Answer from these sources.\n\n[1] %s\n\nWhat do they say?", text);

	json_object_set_new(turn, "role", json_string("user"));
	json_object_set_new(turn, "content", json_string(content));
	mem_free(content);
	return json_pack("{s:[o], s:b, s:s, s:s}", "messages", turn, "add_generation_prompt", 1, "bos_token", "", "eos_token", "");
}

/* The special tokens of the prompt, in their order. */
static int specials_of(const struct template *x, const struct tokenizer *t, const char *text, struct tokens *out, struct err *e)
{
	struct template_output o;
	struct tokens ids = { 0 };
	json_t *v = variables(text);
	int status = template_run(x, v, &o, e);

	json_decref(v);
	if (status < 0)
		return -1;
	status = tokenizer_encode(t, buf_str(&o.text), o.text.len, TOKENIZE_SPECIAL, &ids, e);
	for (size_t i = 0; i < ids.n; i++)
		if (tokenizer_is_special(t, ids.id[i]))
			tokens_add(out, ids.id[i]);
	template_output_release(&o);
	tokens_release(&ids);
	return status;
}

/* 1: other special tokens than around the harmless one. */
static int differs(const struct template *x, const struct tokenizer *t, const char *text, const struct tokens *harmless, struct err *e)
{
	struct tokens ids = { 0 };
	int status = specials_of(x, t, text, &ids, e);
	bool same = ids.n == harmless->n && (!ids.n || !memcmp(ids.id, harmless->id, ids.n * sizeof(*ids.id)));

	tokens_release(&ids);
	return status < 0 ? -1 : !same;
}

static json_t *try_all(const struct template *x, const struct tokenizer *t, const json_t *texts, struct err *e)
{
	struct tokens harmless = { 0 };
	size_t bad = 0, open = 0, parted = 0, i;
	const json_t *one;
	int status = specials_of(x, t, "a quiet text", &harmless, e);

	json_array_foreach((json_t *)(uintptr_t)texts, i, one) {
		struct buf text = BUF_INIT;
		int raw = status < 0 ? -1 : differs(x, t, json_string_value(one), &harmless, e), now = -1;
		buf_add(&text, json_string_value(one), json_string_length(one));
		if (raw >= 0 && special_tokens_part(t, &text, &parted, e) == 0)
			now = differs(x, t, buf_str(&text), &harmless, e);
		buf_release(&text);
		if (now < 0) {
			status = -1;
			break;
		}
		open += (size_t)raw;
		bad += (size_t)now;
	}
	tokens_release(&harmless);
	return status < 0 ? json_pack("{s:s}", "error", e->msg) :
	                    json_pack("{s:I, s:I, s:I, s:I}", "texts", (json_int_t)json_array_size(texts), "bad", (json_int_t)bad, "open",
	                              (json_int_t)open, "parted", (json_int_t)parted);
}

static json_t *work(const struct tokenizer *base, const json_t *job)
{
	struct err e = ERR_INIT;
	const json_t *specials = json_object_get(job, "specials");
	size_t n = json_array_size(specials), some = 0;
	const char **texts = mem_array(n + 1, sizeof(*texts));
	struct template *x = template_parse(json_string_value(json_object_get(job, "template")), &e);

	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(specials, i));
		if (tokenizer_find(base, text, strlen(text)) < 0)
			texts[some++] = text;
	}
	struct tokenizer *t = x && some ? tokenizer_extended(base, texts, some, "part-text", &e) : NULL;
	json_t *out = x && (t || !some) ? try_all(x, t ? t : base, json_object_get(job, "texts"), &e) : json_pack("{s:s}", "error", e.msg);

	tokenizer_free(t);
	template_free(x);
	mem_free(texts);
	return out;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct tokenizer *base = argc == 2 ? tokenizer_open(argv[1], &e) : NULL;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!base)
		return fprintf(stderr, "%s\n", argc == 2 ? e.msg : "usage: part-text MODEL < jobs.jsonl"), 1;
	while ((n = getline(&line, &cap, stdin)) > 0) {
		json_t *job = jsonx_load(line, (size_t)n, "stdin", &e), *out = job ? work(base, job) : json_pack("{s:s}", "error", e.msg);
		char *text = jsonx_line(out);
		puts(text);
		mem_free(text);
		json_decref(out);
		json_decref(job);
	}
	free(line);
	tokenizer_free(base);
	return 0;
}
