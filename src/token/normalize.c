/* normalize: Unicode's normal forms (by utf8proc), with the origin of every byte.
 *
 * Text and its normal form have the same full decomposition, up to the order of marks on one letter; so the k-th
 * decomposed character says which character of the text a character of the result came from. */
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "token/pretokenize.h"

static int form_of(const char *type)
{
	static const struct { const char *type; int form; } forms[] = {
		{ "NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE },
		{ "NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE },
		{ "NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT },
		{ "NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT },
	};
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (strcmp(type, forms[i].type) == 0)
			return forms[i].form;
	return -1;
}

static const struct normalizer_type *find_type(const char *type)
{
	for (const struct normalizer_type *x = normalizer_table; x->type; x++)
		if (strcmp(x->type, type) == 0)
			return x;
	return NULL;
}

static int unknown_type(const char *type, struct err *e)
{
	struct buf names = BUF_INIT;
	for (const struct normalizer_type *x = normalizer_table; x->type; x++)
		buf_addf(&names, ", %s", x->type);
	err_set(e, "normalizer \"%.64s\" is not supported (NFC, NFD, NFKC, NFKD%s are)", type ? type : "without a type",
	        buf_str(&names));
	buf_release(&names);
	return -1;
}

static int parse_any(struct normalizer *z, const json_t *j, int depth, struct err *e)
{
	const char *type = json_string_value(json_object_get(j, "type"));
	const json_t *item;
	size_t i;
	if (type && strcmp(type, "Sequence") == 0 && depth < NORMALIZERS_MAX) {
		json_array_foreach(json_object_get(j, "normalizers"), i, item)
			if (parse_any(z, item, depth + 1, e))
				return -1;
		return 0;
	}
	int form = type ? form_of(type) : -1;
	const struct normalizer_type *known = type && form < 0 ? find_type(type) : NULL;
	if (form < 0 && !known)
		return unknown_type(type, e);
	if (z->n == NORMALIZERS_MAX)
		return err_set(e, "more than %d normalizers", NORMALIZERS_MAX);
	struct normalizer_step *step = &z->step[z->n++];
	*step = (struct normalizer_step){ .form = form, .type = known };
	return known && known->parse ? known->parse(j, &step->own, e) : 0;
}

int normalizer_parse(struct normalizer *z, const json_t *j, struct err *e)
{
	*z = (struct normalizer){ 0 };
	return j && !json_is_null(j) ? parse_any(z, j, 0, e) : 0;
}

void normalizer_release(struct normalizer *z)
{
	for (int i = 0; i < z->n; i++) {
		if (z->step[i].own && z->step[i].type->release)
			z->step[i].type->release(z->step[i].own);
		mem_free(z->step[i].own);
	}
	*z = (struct normalizer){ 0 };
}

static size_t decomposed_count(uint32_t character, int form)
{
	utf8proc_int32_t out[32];
	int boundary = 0;
	utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)character, out, ARRAY_LEN(out),
		(utf8proc_option_t)((form & ~UTF8PROC_COMPOSE) | UTF8PROC_DECOMPOSE), &boundary);
	return n > 0 ? (size_t)n : 1;
}

/* origin[i] for every byte of `text`, the normal form of `in`: walks both by decomposed characters. */
static void find_origins(const struct slice *in, const char *text, size_t n, int form, uint32_t *origin)
{
	size_t from = 0, from_size = 0, at = 0;  /* the character of `in` at hand, and the next of `text` */
	size_t from_end = 0, position = 0;       /* decomposed: where it ends, and where that of `text` begins */
	uint32_t character = 0;
	while (at < n) {
		while (from_end <= position && from + from_size < in->n) {
			from += from_size;
			from_size = utf8_decode(in->text + from, in->n - from, &character);
			from_end += decomposed_count(character, form);
		}
		size_t k = utf8_decode(text + at, n - at, &character);
		for (size_t i = 0; i < k; i++)
			origin[at + i] = slice_origin(in, from);
		position += decomposed_count(character, form);
		at += k;
	}
}

static bool is_ascii(const struct slice *s)
{
	for (size_t i = 0; i < s->n; i++)
		if ((unsigned char)s->text[i] >= 0x80)
			return false;
	return true;
}

/* The normal form of `in` in *out (NUL-terminated, its bytes in *n). */
static int transform(const struct slice *in, int form, utf8proc_int32_t **out, size_t *n, struct err *e)
{
	utf8proc_option_t option = (utf8proc_option_t)form;
	utf8proc_ssize_t need = utf8proc_decompose((const utf8proc_uint8_t *)in->text, (utf8proc_ssize_t)in->n, NULL, 0,
	                                           option),
			 bytes;
	if (need < 0)
		return err_set(e, "normalizing %zu bytes of text: %s", in->n, utf8proc_errmsg(need));
	utf8proc_int32_t *characters = mem_array((size_t)need + 1, sizeof(*characters));
	bytes = utf8proc_decompose((const utf8proc_uint8_t *)in->text, (utf8proc_ssize_t)in->n, characters, need,
	                           option);
	if (bytes >= 0)
		bytes = utf8proc_reencode(characters, bytes, option);
	if (bytes < 0) {
		mem_free(characters);
		return err_set(e, "normalizing %zu bytes of text: %s", in->n, utf8proc_errmsg(bytes));
	}
	*out = characters;
	*n = (size_t)bytes;
	return 0;
}

/* One of Unicode's forms; the text may lie in `a`. */
static int run_form(int form, struct slice *text, struct altered *a, struct err *e)
{
	utf8proc_int32_t *characters = NULL;
	size_t n = 0;
	if (is_ascii(text))
		return 0;
	if (transform(text, form, &characters, &n, e))
		return -1;
	const char *changed = (const char *)characters;
	if (n == text->n && memcmp(changed, text->text, n) == 0) {
		mem_free(characters);
		return 0;
	}
	uint32_t *origin = mem_array(n, sizeof(*origin));
	find_origins(text, changed, n, form, origin);
	buf_clear(&a->text);
	buf_add(&a->text, changed, n);
	mem_free(characters);
	mem_free(a->origin);
	a->origin = origin;
	a->cap = n;
	*text = (struct slice){ buf_str(&a->text), n, 0, origin };
	return 0;
}

static int run_step(const struct normalizer_step *step, bool begins, struct slice *text, struct altered *a,
                    struct err *e)
{
	struct altered out = { 0 };
	text->begins = begins;
	int rc = step->type->run(step->own, text, &out, e);
	altered_release(a);
	*a = out;
	*text = (struct slice){ buf_str(&a->text), a->text.len, 0, a->origin };
	return rc;
}

int normalizer_run(const struct normalizer *z, const struct slice *in, struct slice *out, struct altered *a,
                   struct err *e)
{
	bool begins = in->n && slice_origin(in, 0) == 0;
	*out = *in;
	for (int i = 0; i < z->n; i++) {
		if (z->step[i].type ? run_step(&z->step[i], begins, out, a, e) : run_form(z->step[i].form, out, a, e))
			return -1;
		if (a->text.overflow)
			return err_set(e, "normalizing %zu bytes of text: it becomes too long", in->n);
	}
	return 0;
}

static void origins_for(struct altered *a, size_t n)
{
	if (a->text.len + n <= a->cap)
		return;
	a->cap = MAX(a->cap * 2, MAX(a->text.len + n, (size_t)256));
	a->origin = mem_grow(a->origin, a->cap, sizeof(*a->origin));
}

void altered_copy(struct altered *a, const struct slice *in, size_t begin, size_t end)
{
	if (begin == end)
		return;
	origins_for(a, end - begin);
	uint32_t *to = a->origin + a->text.len;
	for (size_t at = begin; at < end; at++)
		to[at - begin] = slice_origin(in, at);
	buf_add(&a->text, in->text + begin, end - begin);
}

void altered_add(struct altered *a, const char *bytes, size_t n, uint32_t origin)
{
	origins_for(a, n);
	for (size_t i = 0; i < n; i++)
		a->origin[a->text.len + i] = origin;
	buf_add(&a->text, bytes, n);
}

void altered_release(struct altered *a)
{
	buf_release(&a->text);
	mem_free(a->origin);
	*a = (struct altered){ 0 };
}
