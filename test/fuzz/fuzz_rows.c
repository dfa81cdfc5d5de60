/* fuzz: any bytes are rows or are refused with file and line; what was read is made into documents, whose laws must
 * hold. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/lint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Bytes as letters, and two special tokens: enough of a tokenizer for the cutting and masking to be real. */
static struct tokenizer *make_tokenizer(void)
{
	struct err e = ERR_INIT;
	json_t *vocab = json_object(),
	       *config = json_pack("{s:s, s:s, s:b}", "bos_token", "<s>", "eos_token", "</s>", "add_bos_token", 1);
	char letter[3] = { 0 };

	/* GPT-2's alphabet: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and on. */
	for (unsigned c = 0, other = 0; c < 256; c++) {
		bool itself = (c >= 33 && c <= 126) || (c >= 161 && c <= 172) || c >= 174;
		unsigned cp = itself ? c : 256 + other++;
		letter[0] = (char)(cp < 128 ? cp : 0xc0 | cp >> 6);
		letter[1] = (char)(cp < 128 ? 0 : 0x80 | (cp & 63));
		json_object_set_new(vocab, letter, json_integer((json_int_t)c));
	}
	json_t *j = json_pack("{s:n, s:{s:s, s:b, s:b}, s:[{s:i, s:s, s:b, s:b, s:b, s:b, s:b}, {s:i, s:s, s:b, s:b, "
	                      "s:b, s:b, s:b}], s:{s:s}, s:{s:s, s:o, s:[]}}",
	                      "normalizer", "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0, "use_regex", 1,
	                      "added_tokens", "id", 256, "content", "<s>", "single_word", 0, "lstrip", 0, "rstrip", 0,
	                      "normalized", 0, "special", 1, "id", 257, "content", "</s>", "single_word", 0, "lstrip",
	                      0, "rstrip", 0, "normalized", 0, "special", 1, "decoder", "type", "ByteLevel", "model",
	                      "type", "BPE", "vocab", vocab, "merges");
	struct tokenizer *t = tokenizer_from_json(j, config, "fuzz", &e);
	if (!t)
		BUG("%s", e.msg);
	json_decref(j);
	json_decref(config);
	return t;
}

static struct template *make_template(void)
{
	struct err e = ERR_INIT;
	struct template *t =
		template_parse("{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}</s>\n{% endfor %}"
	                       "{% if add_generation_prompt %}assistant: {% endif %}",
	                       &e);
	if (!t)
		BUG("%s", e.msg);
	return t;
}

static void check_documents(const struct documents *d, const struct document_options *o)
{
	size_t learnt = 0;

	for (size_t i = 0; i < d->n; i++) {
		const struct document *doc = &d->items[i];
		int32_t count = 0;
		if (doc->n < 1 || doc->n > o->max_length || doc->learn[0])
			BUG("a document of %d tokens", doc->n);
		for (int32_t k = 0; k < doc->n; k++)
			count += doc->learn[k] != 0;
		if (count != doc->n_learn)
			BUG("%d tokens are learnt, counted were %d", count, doc->n_learn);
		learnt += (size_t)count;
	}
	if (learnt != d->learnt)
		BUG("%zu tokens are learnt, counted were %zu", learnt, d->learnt);
}

static void make_all(const struct rows *r, const struct text_codec *c)
{
	struct err e = ERR_INIT;

	for (unsigned how = 0; how < 8; how++) {
		struct lint l;
		struct documents d;
		struct lint_options o = { .document = { .max_length = how & 4 ? 7 : 64,
			                                .packing = how & 2,
			                                .eval_choices = how & 1,
			                                .apply_chat_template = how & 2 } };
		e.msg[0] = 0;
		if (lint_documents(&l, &d, r, c, &o, &e) == 0) {
			check_documents(&d, &o.document);
			if (lint_computed(&d, 64) > (int64_t)d.tokens)
				BUG("more tokens are computed than there are");
		} else if (!e.msg[0] || d.n) {
			BUG("refused without a sentence, or with documents");
		}
		lint_release(&l);
		documents_release(&d);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct text_codec codec;
	static char path[64];
	static int fd = -1;
	struct rows r;
	struct err e = ERR_INIT;

	if (fd < 0) {
		codec = (struct text_codec){ make_tokenizer(), make_template() };
		fd = memfd_create("rows", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (n >= 2 && data[0] == 0x1f && data[1] == 0x8b) /* zlib's work, and a few bytes would be gigabytes */
		return 0;
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n)
		BUG("no file to write to");
	if (rows_load(&r, path, &e) == 0) {
		make_all(&r, &codec);
		rows_release(&r);
	} else if (!strstr(e.msg, path) || r.n) { /* first, or of a feedback database behind its kind */
		BUG("refused without the file: %s", e.msg);
	}
	return 0;
}
