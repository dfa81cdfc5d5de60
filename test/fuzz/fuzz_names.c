/* fuzz: any bytes are a file of names for models and one of keys, or are refused with a sentence. A name that is moved
 * and taken back stands for what it stood for, and the others are as they were. The first line is the name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "serve/aliases.h"
#include "serve/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char folder[] = "/dev/shm/kungfu-fuzz.XXXXXX";

static void remove_folder(void) { io_remove_tree(folder, NULL); }

static char *file_of(const char *name, const char *text, size_t n)
{
	struct err e = ERR_INIT;
	char *path = io_join(folder, name);
	FILE *f = fopen(path, "w"); /* not io_write: thousands a second are not to be synced */

	if (!f || fwrite(text, 1, n, f) != n || fclose(f))
		BUG("%s is not written: %s", path, e.msg);
	return path;
}

static json_t *all_of(const char *file)
{
	struct aliases a;
	struct err e = ERR_INIT;

	if (aliases_open(&a, file, &e) < 0)
		BUG("what was written is not read: %s", e.msg);
	json_t *all = json_incref(a.json);
	aliases_close(&a);
	return all;
}

/* What a name stands for, whichever way it is written. */
static json_t *place_of(const json_t *all, const char *name)
{
	const json_t *v = json_object_get(all, name), *path = json_is_string(v) ? v : json_object_get(v, "path");

	return json_pack("[O, O?]", path, json_object_get(v, "adapter"));
}

static void move(const char *file, const char *name, const json_t *before)
{
	struct err e = ERR_INIT;
	json_t *note = json_pack("{s:f, s:s}", "loss", 1e-7, "run", "a: #b\n");

	if (aliases_move(file, name, folder, file, "2026-01-31T00:00:00Z", note, &e) == 0) {
		json_t *all = all_of(file), *others = json_copy((json_t *)before);
		json_object_set(others, name, json_object_get(all, name));
		if (!json_equal(all, others))
			BUG("'%s' is moved, and another name too", name);
		bool had = json_object_get(before, name);
		if ((aliases_back(file, name, "2026-02-01T00:00:00Z", "because", &e) == 0) != had)
			BUG("'%s' is not taken back: %s", name, e.msg);
		json_t *back = had ? all_of(file) : NULL, *was = had ? place_of(before, name) : NULL,
		       *is = had ? place_of(back, name) : NULL;
		if (had && !json_equal(was, is))
			BUG("'%s' was taken back to elsewhere", name);
		json_decref(was);
		json_decref(is);
		json_decref(back);
		json_decref(others);
		json_decref(all);
	} else if (!*e.msg) {
		BUG("'%s' is not moved, without a word", name);
	}
	json_decref(note);
}

static void try_names(const char *name, const char *text, size_t n)
{
	struct aliases a;
	struct err e = ERR_INIT;
	char *file = file_of("names.yaml", text, n);

	if (aliases_open(&a, file, &e) == 0) {
		for (size_t i = 0; i < a.n; i++)
			if (!*a.rows[i].name || !*a.rows[i].path || aliases_find(&a, a.rows[i].name) != &a.rows[i])
				BUG("row %zu of the names", i);
		move(file, name, a.json);
		aliases_close(&a);
	} else if (!*e.msg) {
		BUG("names are refused without a word");
	}
	mem_free(file);
}

/* --- keys --- */

static int convert(double amount, const char *currency, double *out, struct err *e)
{
	*out = amount;
	return strcmp(currency, "EUR") ? err_set(e, "%s is not known", currency) : 0;
}

static bool keep(void *ctx, const struct served *rows, size_t n)
{
	(void)ctx;
	(void)rows;
	return n > 0;
}

static void try_keys(const char *name, const char *bearer, const char *text, size_t n)
{
	struct keys *k;
	struct err e = ERR_INIT;
	char *file = file_of(name, text, n);
	struct key_cost cost = { 1e4, 10, 1e-3 };
	struct key_refusal why;

	if (keys_new(&k, &(struct keys_options){ .file = file, .convert = convert, .keep = keep }, &e) == 0) {
		struct holder *h = keys_holder(k, bearer);
		if (!keys_count(k) || keys_holder(k, NULL))
			BUG("a file of %zu keys lets everybody in", keys_count(k));
		if (h && keys_named(k, holder_name(h)) != h)
			BUG("'%s' is not found", holder_name(h));
		if (h && (holder_top_logprobs(k, h) < -1 || holder_top_logprobs(k, h) > 20))
			BUG("%d likely tokens", holder_top_logprobs(k, h));
		if (h && keys_hold(k, h, &cost, &why))
			keys_charge(k, h, &cost, &(struct served){ .model = "m", .adapter = "", .tokens_in = 9 });
		else if (h && (!*why.text || !holder_budgets(k, h)))
			BUG("'%s' has no room, without a word", holder_name(h));
		keys_free(k);
	} else if (!*e.msg) {
		BUG("keys are refused without a word");
	}
	mem_free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static bool begun;
	const char *end = n ? memchr(data, '\n', n) : NULL, *text = end ? end + 1 : (const char *)data;
	size_t k = end ? (size_t)(end - (const char *)data) : 0, left = n - (size_t)(text - (const char *)data);
	char *name = mem_strndup((const char *)data, MIN(k, (size_t)60));

	if (!begun && (!mkdtemp(folder) || atexit(remove_folder)))
		BUG("%s is not made", folder);
	begun = true;
	try_names(name, text, left);
	try_keys("keys.yaml", name, text, left);
	try_keys("keys.txt", name, text, left);
	mem_free(name);
	return 0;
}
