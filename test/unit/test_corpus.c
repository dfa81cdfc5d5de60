/* Reading, copies, evaluations, and whole builds: the same bytes whatever the threads and wherever texts are cut. */
#include "../test.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "../faults.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "corpus/build.h"
#include "corpus/decontaminate.h"
#include "corpus/exact.h"
#include "corpus/minhash.h"
#include "corpus/shards.h"

static char *place(const char *name) { return mem_printf("%s/corpus-%s", test_tmp(), name); }

static void put(const char *name, const char *data, size_t n)
{
	struct err e = ERR_INIT;
	char *path = place(name), *parent = io_parent(path);

	io_mkdirs(parent, &e);
	io_write(path, data, n, &e);
	mem_free(parent);
	mem_free(path);
}

static void put_gz(const char *name, const char *data, size_t n)
{
	char *path = place(name);
	gzFile f = gzopen(path, "wb");

	gzwrite(f, data, (unsigned)n);
	gzclose(f);
	mem_free(path);
}

/* --- reading --- */

/* Texts of a file, as "line:text|" each. */
static int read_all(const char *name, const struct input_options *o, enum input_kind *kind, bool *damaged,
                    struct buf *out)
{
	struct err e = ERR_INIT;
	char *path = place(name), hex[33];
	struct input_file f = { path, name, 0, 0, 0 };
	struct input_text text;
	struct input *x;
	int n = 0, status = input_open(&x, &f, o, kind, &e);

	buf_clear(out);
	*damaged = false;
	while (!status && x && (status = input_next(x, &text, &e)) > 0) {
		buf_addf(out, "%llu%s:%.*s|", (unsigned long long)text.line, text.cut ? "+" : "", (int)text.n,
		         text.data);
		status = 0;
		n++;
	}
	if (x) {
		*damaged = input_damaged(x);
		input_close(x, hex);
	}
	mem_free(path);
	return status < 0 ? -1 : n;
}

static void reading(struct test *t)
{
	static const struct {
		const char *name, *in;
		size_t n;
		enum input_kind kind;
		const char *out;
	} cases[] = {
		{ "a.txt", "one\n<|end|>\ntwo\nlines\n<|end|>\n", 30, INPUT_TEXTS, "1:one|3:two\nlines|" },
		{ "b.md", "\xef\xbb\xbf# head\ntext", 14, INPUT_TEXTS, "1:# head\ntext|" },
		{ "c.c", "0123456789 abcdef\nghijkl mnopqr", 31, INPUT_TEXTS,
		  "1+:0123456789 abcdef\n|2:ghijkl mnopqr|" },
		{ "d.jsonl", "{\"text\":1}\n\n  \n{}", 17, INPUT_ROWS, "1:{\"text\":1}|4:{}|" },
		{ "e.json", " [{\"text\": \"x\"}, 2]", 19, INPUT_ARRAY, "1:{\"text\": \"x\"}|2:2|" },
		{ "f.csv", "a,b\n", 4, INPUT_TABLE, "" },
		{ "g.bin", "PK\0\1", 4, INPUT_BINARY, "" },
		{ "h.txt", "", 0, INPUT_TEXTS, "" },
	};
	const struct input_options o = { "<|end|>", 24 };
	struct buf out = BUF_INIT;
	enum input_kind kind;
	bool damaged;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		test_case(t, "reading %s", cases[i].name);
		put(cases[i].name, cases[i].in, cases[i].n);
		CHECK(t, read_all(cases[i].name, &o, &kind, &damaged, &out) >= 0 && kind == cases[i].kind && !damaged);
		CHECK_MSG(t, !strcmp(buf_str(&out), cases[i].out), "%s", buf_str(&out));
	}
	buf_release(&out);
}

/* A file of many pieces of the reader, whole and cut short, as it is and as gzip. */
static void reading_gz(struct test *t)
{
	enum { ROWS = 60000 };
	const struct input_options o = { NULL, 1 << 20 };
	struct buf rows = BUF_INIT, out = BUF_INIT, raw = BUF_INIT;
	struct err e = ERR_INIT;
	enum input_kind kind;
	bool damaged;

	for (int i = 0; i < ROWS; i++)
		buf_addf(&rows, "{\"text\": \"row %u\"}\n", (unsigned)i * 2654435761u);
	test_case(t, "gzip, inflated on the way");
	put_gz("rows.jsonl.gz", buf_str(&rows), rows.len);
	CHECK(t, read_all("rows.jsonl.gz", &o, &kind, &damaged, &out) == ROWS && kind == INPUT_ROWS && !damaged);
	test_case(t, "gzip that is cut short: what came before, and that it is so");
	char *path = place("rows.jsonl.gz");
	io_read(&raw, path, &e);
	put("short.jsonl.gz", buf_str(&raw), raw.len / 2);
	int n = read_all("short.jsonl.gz", &o, &kind, &damaged, &out);
	CHECK_MSG(t, n > ROWS / 4 && n < ROWS && damaged, "%d rows", n);
	mem_free(path);
	buf_release(&rows);
	buf_release(&out);
	buf_release(&raw);
}

/* --- copies --- */

static void sets(struct test *t)
{
	struct exact x = { 0 };
	uint64_t key[2];

	test_case(t, "a set of 10,000 texts knows these and no others");
	for (uint32_t i = 0; i < 10000; i++) {
		hash_128(&i, sizeof(i), key);
		CHECK(t, exact_find(&x, key) < 0);
		exact_add(&x, key, i);
	}
	for (uint32_t i = 0; i < 10000; i++) {
		hash_128(&i, sizeof(i), key);
		CHECK(t, exact_find(&x, key) == i);
	}
	exact_release(&x);
}

/* n words of which the first `own` are the text's and the rest are all texts'. */
static void make_words(struct shingles *s, int text, int own, int n)
{
	struct buf b = BUF_INIT;

	for (int i = 0; i < n; i++)
		buf_addf(&b, "w%d ", i < own ? (text + 1) * 100000 + i : i);
	shingles_make(s, buf_str(&b), b.len);
	buf_release(&b);
}

static void estimates(struct test *t)
{
	enum { WORDS = 400, K = 256 };
	struct minhash m;
	struct shingles a = { 0 }, b = { 0 };
	uint16_t x[K], y[K];

	minhash_init(&m, K, 1, 0.7);
	for (int own = 0; own <= WORDS; own += 50) {
		double j = (double)(WORDS - own) / (WORDS + own), sum = 0;
		test_case(t, "similarity %.2f", j);
		for (int k = 0; k < 10; k++) {
			make_words(&a, 2 * k, own, WORDS);
			make_words(&b, 2 * k + 1, own, WORDS);
			minhash_signature(&m, &a, x);
			minhash_signature(&m, &b, y);
			sum += minhash_similarity(&m, x, y) / 10;
		}
		/* the texts of k share most words, so means are of little more than one draw: 4 deviations of one */
		double sigma = sqrt(j * (1 - j) / K);
		CHECK_MSG(t, fabs(sum - j) <= 4 * sigma + 1e-9, "%.4f of %.4f, deviation %.4f", sum, j, sigma);
	}
	shingles_release(&a);
	shingles_release(&b);
}

static void bands(struct test *t)
{
	struct minhash m;

	test_case(t, "bands and rows as datasketch chooses them");
	minhash_init(&m, 128, 5, 0.7);
	CHECK_MSG(t, m.bands == 14 && m.rows == 9, "%d × %d", m.bands, m.rows);
	minhash_init(&m, 128, 5, 0.5);
	CHECK_MSG(t, m.bands == 25 && m.rows == 5, "%d × %d", m.bands, m.rows);
	minhash_init(&m, 250, 5, 0.8);
	CHECK_MSG(t, m.bands == 16 && m.rows == 15, "%d × %d", m.bands, m.rows);
}

static void near_copies(struct test *t)
{
	enum { K = 128, TEXTS = 500 };
	struct minhash m;
	struct shingles s = { 0 };
	uint16_t x[K];
	double similarity = 0;
	int missed = 0, wrong = 0;

	test_case(t, "of 500 texts each near copy is found, and no other");
	minhash_init(&m, K, 1, 0.7);
	struct near *store = near_new(&m);
	for (int i = 0; i < TEXTS; i++) {
		make_words(&s, i, 200, 260); /* similar to each other by 60/460 */
		minhash_signature(&m, &s, x);
		wrong += near_find(store, x, &similarity) >= 0;
		near_add(store, x, (uint32_t)i + 1000);
	}
	for (int i = 0; i < TEXTS; i++) {
		make_words(&s, i, 200, 270); /* to its own by 260/270 */
		minhash_signature(&m, &s, x);
		missed += near_find(store, x, &similarity) != i + 1000;
	}
	CHECK_MSG(t, !missed && !wrong, "%d missed, %d wrong", missed, wrong);
	near_free(store);
	shingles_release(&s);
}

static void evaluations(struct test *t)
{
	static const char rows[] = "{\"q\": \"What is the sum of two and three and four?\", \"n\": [\"too short\"]}\n";
	struct decontaminate d;
	struct decontaminate_hit hit;
	struct shingles s = { 0 };
	struct err e = ERR_INIT;
	char *path = place("eval.jsonl");

	test_case(t, "what an evaluation has is found, whatever its case and marks");
	put("eval.jsonl", rows, strlen(rows));
	decontaminate_begin(&d, 5, 0);
	CHECK(t, decontaminate_add(&d, path, &e) == 0 && d.n_texts == 1 && d.texts[0].grams == 6 && d.too_short == 1);
	shingles_make(&s, "so: THE SUM OF two, and -- never", 31);
	CHECK(t, decontaminate_find(&d, &s, &hit) && fabs(hit.share - 1.0 / 6) < 1e-12 && d.texts[hit.text].line == 1);
	shingles_make(&s, "the sum of two or three and four", 32);
	CHECK(t, !decontaminate_find(&d, &s, &hit));
	test_case(t, "with a ratio, by how much of a text there is");
	d.ratio = 0.5;
	shingles_make(&s, "the sum of two and. The sum of two and", 38);
	CHECK(t, !decontaminate_find(&d, &s, &hit)); /* one of its n-grams, twice */
	shingles_make(&s, "is the sum of two and three", 27);
	CHECK(t, decontaminate_find(&d, &s, &hit) && fabs(hit.share - 0.5) < 1e-12);
	decontaminate_release(&d);
	test_case(t, "an evaluation that cannot be read is no evaluation");
	decontaminate_begin(&d, 50, 0);
	CHECK(t, decontaminate_add(&d, path, &e) < 0 && strstr(e.msg, "no text of 50 words"));
	put("eval.jsonl", "{\"q\": ", 6);
	CHECK(t, decontaminate_add(&d, path, &e) < 0 && strstr(e.msg, "is no JSON"));
	decontaminate_release(&d);
	shingles_release(&s);
	mem_free(path);
}

/* --- building --- */

/* Batches after which the process is killed before they are saved; 0: it is not. */
static int killed_after;
static uint64_t first_documents; /* that were done when the first batch was */

static void count_batch(void *ctx, const struct corpus_progress *p)
{
	(void)ctx;
	first_documents = first_documents ? first_documents : p->documents;
	if (killed_after && !--killed_after)
		kill(getpid(), SIGKILL);
}

static int build(const char *out, int threads, const struct corpus_options *o, json_t **report, struct err *e)
{
	char *golden = mem_printf("%s/gpt2", test_golden()), *in = place("in"), *dir = place(out);
	struct tokenizer *t = tokenizer_open(golden, e);
	struct pool *pool = pool_new(threads);
	struct input_list files = { 0 };
	struct corpus_source source = { "in", NAN, NAN };
	struct corpus_options options = *o;
	struct corpus c = {
		.options = &options, .sources = &source, .n_sources = 1, .files = &files, .tokenizer = t, .pool = pool,
		.progress = count_batch
	};

	options.end_of_text = corpus_end_of_text(t, NULL, e);
	int status = input_list_add(&files, in, "in", 0, e);
	if (!status)
		status = corpus_build(&c, dir, report, e);
	input_list_release(&files);
	pool_free(pool);
	tokenizer_free(t);
	mem_free(golden);
	mem_free(in);
	mem_free(dir);
	return status;
}

static void write_corpus(int rows)
{
	struct rng_stream r = { 5 };
	struct buf b = BUF_INIT;

	for (int i = 0; i < rows; i++) {
		buf_adds(&b, "{\"text\": \"");
		for (int k = 0; k < 20; k++)
			buf_addf(&b, "word%u ", rng_below(&r, i % 3 ? 5000 : 2));
		buf_addf(&b, "%s\"}\n", i % 50 ? "" : "\\u00e9\xff");
	}
	put("in/rows.jsonl", buf_str(&b), b.len);
	put("in/sub/a.txt", "a text of its own\n", 18);
	put("in/sub/copy.txt", "a text of its own", 17);
	put("in/.hidden", "not seen", 8);
	buf_release(&b);
}

static json_int_t left_out(const json_t *report, const char *by)
{
	size_t i;
	const json_t *x;

	json_array_foreach (json_object_get(report, "removed"), i, x)
		if (!strcmp(json_string_value(json_object_get(x, "by")), by))
			return json_integer_value(json_object_get(x, "documents"));
	return 0;
}

static bool same_file(const char *a, const char *b, const char *name)
{
	struct err e = ERR_INIT;
	char hex[2][33] = { "", "" };
	char *dir[] = { place(a), place(b) };

	for (int i = 0; i < 2; i++) {
		char *path = io_join(dir[i], name);
		io_hash(path, hex[i], &e);
		mem_free(path);
		mem_free(dir[i]);
	}
	return hex[0][0] && !strcmp(hex[0], hex[1]);
}

static void building(struct test *t)
{
	struct corpus_options o = corpus_defaults();
	json_t *one = NULL, *two = NULL;
	struct err e = ERR_INIT;
	struct shards s;
	char *dir = place("one");

	test_case(t, "a corpus: counts add up, any number of threads gives the same bytes");
	write_corpus(3000);
	o.valid_ratio = 0.1;
	CHECK_MSG(t, build("one", 1, &o, &one, &e) == 0 && build("two", 3, &o, &two, &e) == 0, "%s", e.msg);
	static const char *const names[] = { "manifest.json",         "report.json",           "files.jsonl",
		                             "in-train-00000.tokens", "in-valid-00000.tokens", "in-train.documents" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		CHECK_MSG(t, same_file("one", "two", names[i]), "%s", names[i]);
	json_int_t kept = json_integer_value(json_object_get(one, "kept"));
	CHECK(t, json_integer_value(json_object_get(one, "documents")) == 3002);
	CHECK(t, kept + left_out(one, "exact-duplicate") + left_out(one, "near-duplicate") == 3002);
	CHECK(t, left_out(one, "exact-duplicate") >= 1 && left_out(one, "near-duplicate") > 10);
	CHECK(t, json_integer_value(json_object_get(json_object_get(one, "cleaned"), "bad_bytes")) == 60);
	CHECK_MSG(t, shards_open(&s, dir, &e) == 0 && shards_verify(&s, &e) == 0, "%s", e.msg);
	uint64_t valid = shards_total(&s, SHARDS_VALID).documents;
	CHECK(t, shards_total(&s, SHARDS_TRAIN).documents + valid == (uint64_t)kept);
	CHECK_MSG(t, fabs((double)valid / (double)kept - 0.1) < 0.03, "%llu held out", (unsigned long long)valid);
	shards_close(&s);
	json_decref(one);
	json_decref(two);
	mem_free(dir);
}

/* In a process of its own, which may be killed: was it? */
static bool is_killed(const char *out, const struct corpus_options *o, int after)
{
	pid_t child = fork();
	int state = 0;

	if (!child) {
		struct err e = ERR_INIT;
		json_t *report = NULL;
		killed_after = after;
		int status = build(out, after % 2 + 1, o, &report, &e);
		json_decref(report);
		_exit(status ? 1 : 0);
	}
	waitpid(child, &state, 0);
	return WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL;
}

static bool same_folder(const char *a, const char *b)
{
	struct err e = ERR_INIT;
	char **names[2], *dir[] = { place(a), place(b) };
	size_t n[2] = { 0, 0 };
	bool same = true;

	for (int i = 0; i < 2; i++) {
		same = io_list(dir[i], &names[i], &n[i], &e) == 0 && same;
		mem_free(dir[i]);
	}
	same &= n[0] == n[1];
	for (size_t i = 0; i < n[0] && same; i++)
		same = !strcmp(names[0][i], names[1][i]) &&
		       (!strcmp(names[0][i], "tokenizer") || same_file(a, b, names[0][i]));
	for (int i = 0; i < 2; i++)
		io_list_free(names[i], n[i]);
	return same;
}

static void killed(struct test *t)
{
	struct corpus_options o = corpus_defaults();
	char *part = place("killed.kungfu-part");
	json_t *report = NULL;
	struct err e = ERR_INIT;
	int kills = 0;

	test_case(t, "builds that are killed again and again end with the bytes of one that is not");
	write_corpus(7000);
	o.valid_ratio = 0.1;
	o.file_tokens = 5000;
	o.language = "en,und";
	o.save_bytes = 1;
	CHECK_MSG(t, build("whole", 2, &o, &report, &e) == 0, "%s", e.msg);
	while (kills < 20 && is_killed("killed", &o, 2 + kills % 2))
		kills++;
	CHECK_MSG(t, kills == 2, "%d kills", kills); /* of 4 batches one, then two are done before them */
	CHECK(t, same_folder("whole", "killed") && !io_exists(part));

	test_case(t, "what is saved goes where options or files have changed, or are damaged; else it is gone on from");
	CHECK(t, is_killed("killed", &o, 3) && io_exists(part));
	o.valid_ratio = 0;
	json_decref(report);
	first_documents = 0;
	CHECK_MSG(t, build("killed", 2, &o, &report, &e) == 0 && first_documents == 2048, "%s", e.msg);
	o.valid_ratio = 0.1;
	CHECK(t, is_killed("killed", &o, 3));
	char *note = io_join(part, "kept.note");
	CHECK(t, io_truncate(note, 100, &e) == 0);
	json_decref(report);
	first_documents = 0;
	CHECK_MSG(t, build("killed", 2, &o, &report, &e) == 0 && first_documents == 2048, "%s", e.msg);
	CHECK(t, same_folder("whole", "killed"));
	CHECK(t, is_killed("killed", &o, 3));
	json_decref(report);
	first_documents = 0;
	CHECK_MSG(t, build("killed", 2, &o, &report, &e) == 0 && first_documents == 3 * 2048, "%s", e.msg);
	CHECK(t, same_folder("whole", "killed"));
	json_decref(report);
	mem_free(note);
	mem_free(part);
}

/* Without doing anything to them, the shards hold the texts. */
static void texts_come_back(struct test *t)
{
	struct corpus_options o = corpus_defaults();
	json_t *report = NULL;
	struct err e = ERR_INIT;
	struct shards s;
	struct buf text = BUF_INIT;
	char *dir = place("back"), *golden = mem_printf("%s/gpt2", test_golden());
	struct tokenizer *tok = tokenizer_open(golden, &e);
	int32_t ids[100];
	uint64_t n;

	test_case(t, "texts come back as they were; the end of each is held out");
	o.dedup = CORPUS_DEDUP_NONE;
	o.valid = CORPUS_VALID_END;
	o.valid_ratio = 0.5;
	char *old = place("in");
	io_remove_tree(old, &e);
	put("in/a.txt", "A first line.\nthen a\nsecond half\n", 33);
	CHECK_MSG(t, build("back", 1, &o, &report, &e) == 0 && shards_open(&s, dir, &e) == 0, "%s", e.msg);
	for (int split = 0; split < SHARDS_SPLITS; split++) {
		uint64_t at = shards_document(&s.sources[0].split[split], 0, &n);
		CHECK(t, shards_read(&s, 0, split, at, (size_t)n, ids, &e) == 0 && ids[n - 1] == s.end_of_text);
		buf_clear(&text);
		tokenizer_decode(tok, ids, (size_t)n - 1, false, &text);
		CHECK_MSG(t, !strcmp(buf_str(&text), split ? "second half\n" : "A first line.\nthen a\n"), "%s",
		          buf_str(&text));
		CHECK(t, s.sources[0].split[split].bytes == text.len && s.sources[0].split[split].tokens == n);
	}
	shards_close(&s);
	json_decref(report);
	buf_release(&text);
	tokenizer_free(tok);
	mem_free(golden);
	mem_free(old);
	mem_free(dir);
}

static void refused(struct test *t)
{
	struct corpus_options o = corpus_defaults();
	json_t *report = NULL;
	struct err e = ERR_INIT;
	char *in = place("in"), *out = place("refused");

	test_case(t, "a corpus of nothing");
	io_remove_tree(in, &e);
	put("in/a.csv", "x,y\n", 4);
	CHECK(t, build("refused", 1, &o, &report, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "there is no text in 1 file (1 of them") && !report, "%s", e.msg);
	put("in/b.jsonl", "{\"body\": \"x\"}\n", 14);
	CHECK(t, build("refused", 1, &o, &report, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "none of the rows has a text under \"text\""), "%s", e.msg);
	put("in/c.txt", " \n", 2);
	put("in/d.txt", "\n", 1);
	CHECK(t, build("refused", 1, &o, &report, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "of 3 documents none is left: 2 went by 'empty'"), "%s", e.msg);
	CHECK(t, !io_exists(out));
	mem_free(in);
	mem_free(out);
}

void test_corpus(struct test *t)
{
	reading(t);
	reading_gz(t);
	sets(t);
	estimates(t);
	bands(t);
	near_copies(t);
	evaluations(t);
	building(t);
	killed(t);
	texts_come_back(t);
	refused(t);
}
