/* fuzz: any JSON is a row to answer or is refused with a sentence; what is accepted has at least one token, and every
 * id is the tokenizer's. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/prompts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Letters only: the cutting is real enough, and everything else has no token. */
static struct tokenizer *make_tokenizer(void)
{
	struct err e = ERR_INIT;
	json_t *vocab = json_object(), *config = json_pack("{s:s, s:b}", "eos_token", "</s>", "add_bos_token", 0);

	for (char c = 33; c < 127; c++)
		json_object_set_new(vocab, (char[]){ c, 0 }, json_integer(c - 33));
	json_t *j = json_pack(
		"{s:n, s:{s:s, s:b, s:b}, s:[{s:i, s:s, s:b, s:b, s:b, s:b, s:b}], s:{s:s}, s:{s:s, s:o, s:[]}}",
		"normalizer", "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0, "use_regex", 1,
		"added_tokens", "id", 94, "content", "</s>", "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized",
		0, "special", 1, "decoder", "type", "ByteLevel", "model", "type", "BPE", "vocab", vocab, "merges");
	struct tokenizer *t = tokenizer_from_json(j, config, "fuzz", &e);
	if (!t)
		BUG("%s", e.msg);
	json_decref(j);
	json_decref(config);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct text_codec codec;
	struct err e = ERR_INIT;

	if (!codec.tokenizer) {
		codec.tokenizer = make_tokenizer();
		codec.template_ =
			template_parse("{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}", &e);
		if (!codec.template_)
			BUG("%s", e.msg);
	}
	json_t *row = jsonx_load((const char *)data, n, "row", &e);
	for (int how = 0; row && how < 4; how++) {
		struct tokens ids = { 0 };
		struct columns seen = { 0 };
		struct prompt_options o = { .raw = how & 1, .system = how & 2 ? "Be brief." : NULL };
		e.msg[0] = 0;
		int status = prompt_encode_row(&codec, &(struct row){ row, "row", 1 }, &o, &ids, &seen, &e);
		if (status < 0 ? !e.msg[0] : ids.n == 0)
			BUG("status %d with %zu tokens: \"%s\"", status, ids.n, e.msg);
		for (size_t i = 0; i < ids.n; i++)
			if (ids.id[i] < 0 || (size_t)ids.id[i] >= tokenizer_size(codec.tokenizer))
				BUG("token %d", ids.id[i]);
		tokens_release(&ids);
		columns_release(&seen);
	}
	json_decref(row);
	return 0;
}
