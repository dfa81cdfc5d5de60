/* nearest: names as patterns, with a "N" for each number: "model.layers.N.mlp.up_proj.weight". Of an architecture all
 * of its table's rows count, of a file all of its tensors (the first some thousand), each pattern once. The nearest has
 * the largest share of common ones of all (Jaccard 1901), of equals it is the one with fewer facts of its own. Rows
 * that a fact may switch off ("bHD") and a head, which may be the embedding, are not missed. */
#include "model/nearest.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/model.h"

enum { SHOWN = 3, PATTERNS = 4096 };

struct names { const char **list; size_t n; };

/* n bytes with "N" for each run of digits, or of a table's "%d", that is a part of its own. */
static char *pattern_of(struct arena *mem, const char *name, size_t n)
{
	char *out = arena_alloc(mem, n + 1);
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		size_t digits = 0;
		while (i + digits < n && isdigit((unsigned char)name[i + digits]))
			digits++;
		bool number = n - i >= 2 && !strncmp(name + i, "%d", 2);
		size_t skip = number ? 2 : digits;
		bool alone = skip && (i == 0 || name[i - 1] == '.') && (i + skip == n || name[i + skip] == '.');
		out[k++] = alone ? 'N' : name[i];
		i += alone ? skip - 1 : 0;
	}
	out[k] = 0;
	return out;
}

static bool has(const struct names *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (!strcmp(a->list[i], name))
			return true;
	return false;
}

static struct names names_of(struct arena *mem, const struct source *s)
{
	struct names out = { .list = arena_array(mem, source_count(s) + 1, sizeof(*out.list)) };
	struct source_tensor t;

	for (size_t i = 0; i < source_count(s) && out.n < PATTERNS; i++) {
		source_tensor(s, i, &t);
		const char *pattern = pattern_of(mem, t.name, strlen(t.name));
		if (!has(&out, pattern))
			out.list[out.n++] = pattern;
	}
	return out;
}

/* Which of a row's names the file has, without the architecture's prefix too; else the first. */
static const char *name_of_row(struct arena *mem, const struct names *file, const struct arch *a, const char *words,
                               bool *found)
{
	const char *first = NULL;

	*found = false;
	for (size_t n; *words && !*found; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		const char *pattern = pattern_of(mem, words, n);
		size_t prefix = strncmp(pattern, a->prefix, strlen(a->prefix)) ? 0 : strlen(a->prefix);
		*found = has(file, pattern) || (prefix && has(file, pattern + prefix));
		first = !first || *found ? has(file, pattern) || !*found ? pattern : pattern + prefix : first;
	}
	return first;
}

/* What the file has of the architecture's, and what not. */
static void compare(struct arena *mem, const struct names *file, const struct arch *a, bool gguf, struct names *common,
                    struct names *missed)
{
	const unsigned never_missed = WEIGHT_IGNORED | WEIGHT_OPTIONAL | WEIGHT_PARTS | WEIGHT_HEAD;
	size_t n = 0;

	for (const struct weight_spec *s = a->weights; s->hf; s++)
		n++;
	common->list = arena_array(mem, 2 * n + 1, sizeof(*common->list));
	missed->list = arena_array(mem, n + 1, sizeof(*missed->list));
	for (const struct weight_spec *s = a->weights; s->hf; s++) {
		const char *words = gguf ? s->gguf : s->hf;
		bool found, fused;
		if (!words)
			continue;
		const char *name = name_of_row(mem, file, a, words, &found);
		const char *whole = s->fused && !gguf ? name_of_row(mem, file, a, s->fused->hf, &fused) : NULL;
		if (found)
			common->list[common->n++] = name;
		else if (whole && fused)
			common->list[common->n++] = whole;
		else if (!(s->flags & never_missed) && s->shape && !islower((unsigned char)s->shape[0]))
			missed->list[missed->n++] = name;
	}
}

/* Whether there were any. */
static bool add_some(struct buf *b, const char *before, const struct names *of, const struct names *but)
{
	size_t n = 0;

	for (size_t i = 0; i < of->n; i++) {
		if (but && has(but, of->list[i]))
			continue;
		if (n < SHOWN)
			buf_addf(b, "%s%s", n ? ", " : before, of->list[i]);
		n++;
	}
	if (n > SHOWN)
		buf_addf(b, " and %zu more", n - SHOWN);
	return n > 0;
}

static void add_all(struct buf *b, bool gguf)
{
	const char *before = ", wanted one of: ";

	for (size_t i = 0; arch_table[i]; i++)
		if (!gguf || arch_table[i]->gguf) {
			buf_addf(b, "%s%s", before, arch_table[i]->name);
			before = ", ";
		}
}

/* What is known of families by the beginning of their names. */
static const char *known(const char *found)
{
	static const char *const families[][2] = {
		{ "deepseek_", "latent attention (MLA) is" }, { "deepseek2", "latent attention (MLA) is" },
		{ "mamba", "selective state spaces are" },    { "falcon_mamba", "selective state spaces are" },
		{ "jamba", "selective state spaces are" },    { "bart", "attention to an encoder is" },
		{ "t5", "attention to an encoder is" },       { "mt5", "attention to an encoder is" },
		{ "bloom", "ALiBi's bias of distances is" },  { "mpt", "ALiBi's bias of distances is" },
	};

	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (!strncmp(found, families[i][0], strlen(families[i][0])))
			return families[i][1];
	return NULL;
}

static int say(const struct names *file, const struct arch *a, const struct names *common, const struct names *missed,
               const char *where, const char *found, bool gguf, struct err *e)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, known(found) ? ", whose %s not computed" : ", which is not here", known(found));
	if (!a) {
		add_all(&b, gguf);
	} else {
		buf_addf(&b, "; the nearest of those that are is %s, ", a->name);
		bool more = add_some(&b, "which has no ", file, common), wants = missed->n > 0;
		add_some(&b, more ? ", and wants " : "which wants ", missed, NULL);
		if (!more && !wants)
			buf_addf(&b, "whose tensors have these names, but whether it computes the same no file says");
	}
	int status = err_set(e, "%s: the architecture is \"%.80s\"%s", where, found, buf_str(&b));
	buf_release(&b);
	return status;
}

int nearest_refuse(const struct source *s, const char *where, const char *found, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct names file = names_of(&mem, s), best[2] = { { 0 } };
	const struct arch *nearest = NULL;
	double most = 0;

	for (size_t i = 0; arch_table[i]; i++) {
		struct names common = { 0 }, missed = { 0 };
		if (s->is_gguf && !arch_table[i]->gguf)
			continue;
		compare(&mem, &file, arch_table[i], s->is_gguf, &common, &missed);
		double share = (double)common.n / (double)MAX(file.n + missed.n, 1);
		bool simpler = nearest && arch_table[i]->own_bytes < nearest->own_bytes;
		if (share > most || (share == most && simpler)) {
			most = share;
			nearest = arch_table[i];
			best[0] = common;
			best[1] = missed;
		}
	}
	int status = say(&file, nearest, &best[0], &best[1], where, found, s->is_gguf, e);
	arena_release(&mem);
	return status;
}
