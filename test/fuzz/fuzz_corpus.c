/* fuzz_corpus: a byte that says what the rest is: a manifest of shards beside files that it may name, or a file of
 * texts or rows. Shards that are accepted are read to their last token; texts are cleaned, judged by all rules and
 * sketched, and what is left of them is valid UTF-8. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "corpus/clean.h"
#include "corpus/input.h"
#include "corpus/language.h"
#include "corpus/minhash.h"
#include "corpus/rules.h"
#include "corpus/shards.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/kungfu-fuzz-XXXXXX";

static void remove_dir(void)
{
	struct err e = ERR_INIT;
	io_remove_tree(dir, &e);
}

/* Not io_write, which waits for the disk. */
static void put(const char *name, const void *data, size_t n)
{
	char *path = io_join(dir, name);
	FILE *f = fopen(path, "wb");

	if (f) {
		fwrite(data, 1, n, f);
		fclose(f);
	}
	mem_free(path);
}

/* Files of the seed's manifest: two documents of "a", none held out. */
static void begin(void)
{
	static const uint16_t ids[] = { 1, 2, 0, 3, 0 };
	static const uint64_t starts[] = { 0, 3 };
	struct err e = ERR_INIT;

	io_temporary_dir(dir, &e);
	atexit(remove_dir);
	put("a-train-00000.tokens", ids, sizeof(ids));
	put("a-train.documents", starts, sizeof(starts));
	put("a-valid.documents", "", 0);
}

static void read_stream(const struct shards *s, size_t source, enum shards_split split)
{
	const struct shards_stream *x = &s->sources[source].split[split];
	int32_t most = shards_most_pieces(x, 2), ids[2], *piece = mem_array((size_t)most, sizeof(*piece));
	struct err e = ERR_INIT;

	for (uint64_t w = 0; w < shards_windows(x, 2); w++)
		if (shards_window(s, source, split, w, 2, ids, piece, &e) > most)
			BUG("more pieces than were said");
	mem_free(piece);
}

static void use_manifest(const uint8_t *data, size_t n)
{
	struct shards s;
	struct err e = ERR_INIT;

	put("manifest.json", data, n);
	if (shards_open(&s, dir, &e) < 0) {
		if (!e.msg[0])
			BUG("refused without a sentence");
		return;
	}
	for (size_t i = 0; i < s.n_sources; i++)
		for (int split = 0; split < SHARDS_SPLITS; split++)
			read_stream(&s, i, split);
	shards_verify(&s, &e);
	shards_close(&s);
}

static void use_text(const struct input_text *t)
{
	static const struct clean_options o = { .text_column = "text", .form = CLEAN_NFC };
	struct clean_counts c = { 0 };
	struct rules_on on;
	struct facts f = { 0 };
	struct shingles s = { 0 };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	struct minhash m = { .permutations = 8, .ngram = 3 };
	uint16_t signature[8];
	double value = 0;

	rules_parse("c4,gopher,fineweb", &on, &e);
	if (clean_text(&o, t->data, t->n, t->row, &text, &c) == CLEAN_TEXT) {
		facts_make(&f, buf_str(&text), text.len);
		language_guess(&f);
		for (size_t i = 0; i < rules_count(); i++)
			value += rules_table[i].value ? rules_table[i].value(&f, &rules_table[i]) : 0;
		rules_judge(&on, &text, &f, &value, NULL, NULL);
		shingles_make(&s, buf_str(&text), text.len);
		minhash_signature(&m, &s, signature);
		if (!utf8_valid(buf_str(&text), text.len, NULL))
			BUG("a text that is no UTF-8");
	}
	facts_release(&f);
	shingles_release(&s);
	buf_release(&text);
}

static void use_file(const char *name, const uint8_t *data, size_t n)
{
	const struct input_options o = { "<|endoftext|>", 64 };
	char *path = io_join(dir, name), hex[33];
	const struct input_file f = { path, name, 0, n };
	struct input_text text;
	enum input_kind kind;
	struct err e = ERR_INIT;
	struct input *x;

	put(name, data, n);
	if (input_open(&x, &f, &o, &kind, &e) == 0 && x) {
		while (input_next(x, &text, &e) > 0)
			use_text(&text);
		input_close(x, hex);
	}
	mem_free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	static const char *const names[] = { "x.txt", "x.jsonl", "x.json" };

	if (!begun)
		begin();
	begun = true;
	if (!size)
		return 0;
	if (data[0] == 'm')
		use_manifest(data + 1, size - 1);
	else
		use_file(names[data[0] % 3], data + 1, size - 1);
	return 0;
}
