/* pickle: the machine. See pickle.h. A long integer of up to 8 bytes is an integer, a longer one is refused. */
#include "format/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"

enum { VALUES_MAX = 1 << 22, MEMO_MAX = 1 << 22, LINE_MAX_BYTES = 256 };

struct machine {
	struct arena *mem;
	struct cursor c;
	const struct pickle_host *host;
	const char *where;
	struct err *e;
	struct pickle_value **stack, **memo;
	size_t n, cap, memo_cap, memo_n, values;
	bool done;
};

struct pickle_value *pickle_new(struct arena *mem, enum pickle_kind kind)
{
	struct pickle_value *v = arena_alloc(mem, sizeof(*v));

	v->kind = kind;
	return v;
}

const struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key)
{
	const struct pickle_value *found = NULL;

	for (size_t i = 0; dict->kind == PICKLE_DICT && i + 1 < dict->n; i += 2)
		if (dict->item[i]->kind == PICKLE_TEXT && !strcmp(dict->item[i]->text, key))
			found = dict->item[i + 1];
	return found;
}

/* --- stack --- */

static int broken(struct machine *m, const char *what)
{
	return err_set(m->e, "%s: a pickle that %s at byte %zu", m->where, what, m->c.pos);
}

static void push(struct machine *m, struct pickle_value *v)
{
	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 256;
		m->stack = mem_grow(m->stack, m->cap, sizeof(struct pickle_value *));
	}
	m->stack[m->n++] = v;
}

/* A new value on the stack. */
static struct pickle_value *make(struct machine *m, enum pickle_kind kind)
{
	struct pickle_value *v = pickle_new(m->mem, kind);

	m->values++;
	push(m, v);
	return v;
}

static struct pickle_value *top(const struct machine *m, enum pickle_kind kind)
{
	return m->n && m->stack[m->n - 1]->kind == kind ? m->stack[m->n - 1] : NULL;
}

/* The place behind the last mark; SIZE_MAX: there is none. */
static size_t behind_mark(const struct machine *m)
{
	for (size_t i = m->n; i-- > 0;)
		if (m->stack[i]->kind == PICKLE_MARK)
			return i + 1;
	return SIZE_MAX;
}

static void add_items(struct machine *m, struct pickle_value *to, size_t from)
{
	size_t n = m->n - from;

	if (to->n + n > to->cap) {
		struct pickle_value **old = to->item;
		to->cap = MAX(2 * to->cap, to->n + n);
		to->item = arena_array(m->mem, to->cap, sizeof(struct pickle_value *));
		if (to->n)
			memcpy(to->item, old, to->n * sizeof(struct pickle_value *));
	}
	if (n)
		memcpy(to->item + to->n, m->stack + from, n * sizeof(struct pickle_value *));
	to->n += n;
	m->n = from;
}

/* A tuple of what is on the stack from there on. */
static int tuple(struct machine *m, size_t from)
{
	struct pickle_value *v = pickle_new(m->mem, PICKLE_TUPLE);

	if (from > m->n)
		return broken(m, "takes more than there is");
	for (size_t i = from; i < m->n; i++)
		if (m->stack[i]->kind == PICKLE_MARK)
			return broken(m, "takes a mark");
	m->values++;
	add_items(m, v, from);
	push(m, v);
	return 0;
}

/* What was put behind the mark becomes a list's or a dict's, which lies before it. */
static int take_marked(struct machine *m, enum pickle_kind kind)
{
	size_t from = behind_mark(m);

	if (from == SIZE_MAX || from < 2 || m->stack[from - 2]->kind != kind ||
	    (kind == PICKLE_DICT && (m->n - from) % 2))
		return broken(m, kind == PICKLE_DICT ? "sets items of no dict" : "appends to no list");
	add_items(m, m->stack[from - 2], from);
	m->n = from - 1;
	return 0;
}

static int take_few(struct machine *m, enum pickle_kind kind, size_t n)
{
	if (m->n <= n || m->stack[m->n - n - 1]->kind != kind)
		return broken(m, kind == PICKLE_DICT ? "sets an item of no dict" : "appends to no list");
	for (size_t i = m->n - n; i < m->n; i++)
		if (m->stack[i]->kind == PICKLE_MARK)
			return broken(m, "takes a mark");
	add_items(m, m->stack[m->n - n - 1], m->n - n);
	return 0;
}

/* --- memo --- */

static int remember(struct machine *m, size_t i)
{
	if (!m->n || i >= MEMO_MAX || m->stack[m->n - 1]->kind == PICKLE_MARK)
		return broken(m, "remembers nothing, or too much");
	if (i >= m->memo_cap) {
		size_t cap = MAX(2 * m->memo_cap, i + 256);
		m->memo = mem_grow(m->memo, cap, sizeof(struct pickle_value *));
		memset(m->memo + m->memo_cap, 0, (cap - m->memo_cap) * sizeof(struct pickle_value *));
		m->memo_cap = cap;
	}
	m->memo[i] = m->stack[m->n - 1];
	m->memo_n = MAX(m->memo_n, i + 1);
	return 0;
}

static int recall(struct machine *m, size_t i)
{
	if (i >= m->memo_cap || !m->memo[i])
		return broken(m, "recalls what it never had");
	push(m, m->memo[i]);
	return 0;
}

/* --- values --- */

static int text(struct machine *m, uint64_t n)
{
	const char *bytes = n <= cursor_left(&m->c) ? cursor_bytes(&m->c, (size_t)n) : NULL;

	if (!bytes)
		return broken(m, "ends inside a text");
	struct pickle_value *v = make(m, PICKLE_TEXT);
	v->text = arena_strndup(m->mem, bytes, (size_t)n);
	v->n = (size_t)n;
	return 0;
}

static int integer(struct machine *m, int64_t x)
{
	make(m, PICKLE_INT)->i = x;
	return 0;
}

static int truth(struct machine *m, bool x)
{
	make(m, PICKLE_BOOL)->i = x;
	return 0;
}

/* Little endian, two's complement. */
static int long_integer(struct machine *m, size_t n)
{
	const uint8_t *b = n <= cursor_left(&m->c) ? cursor_bytes(&m->c, n) : NULL;
	uint64_t x = 0;

	if (n > 16 || (n && !b))
		return broken(m, "has an integer of too many bytes");
	if (n > 8) { /* the magic number of the older files: who asks for it compares its bytes */
		struct pickle_value *v = make(m, PICKLE_INT);
		v->text = arena_strndup(m->mem, (const char *)b, n);
		v->n = n;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		x |= (uint64_t)b[i] << (8 * i);
	if (n && n < 8 && b[n - 1] & 0x80)
		x |= ~(uint64_t)0 << (8 * n);
	return integer(m, (int64_t)x);
}

static int real(struct machine *m)
{
	const uint8_t *b = cursor_bytes(&m->c, 8);
	uint64_t u = 0;

	if (!b)
		return broken(m, "ends inside a number");
	for (int i = 0; i < 8; i++) /* big endian */
		u = u << 8 | b[i];
	memcpy(&make(m, PICKLE_REAL)->real, &u, sizeof(u));
	return 0;
}

/* --- globals and calls --- */

static int name_global(struct machine *m, const char *module, const char *name)
{
	int i = m->host->global(m->host->ctx, module, name);

	if (i < 0)
		return err_set(m->e,
		               "%s: its pickle wants Python's %.80s.%.80s, which is no part of a file of tensors and "
		               "is not run",
		               m->where, module, name);
	make(m, PICKLE_GLOBAL)->i = i;
	return 0;
}

/* A line of text, in `out`. */
static int line(struct machine *m, char out[LINE_MAX_BYTES])
{
	for (size_t i = 0; i < LINE_MAX_BYTES; i++) {
		char c = (char)cursor_u8(&m->c);
		out[i] = c == '\n' ? 0 : c;
		if (m->c.failed)
			break;
		if (c == '\n')
			return 0;
	}
	return broken(m, "has a name without an end");
}

static int global(struct machine *m)
{
	char module[LINE_MAX_BYTES], name[LINE_MAX_BYTES];

	return line(m, module) < 0 || line(m, name) < 0 ? -1 : name_global(m, module, name);
}

static int stack_global(struct machine *m)
{
	if (m->n < 2 || m->stack[m->n - 1]->kind != PICKLE_TEXT || m->stack[m->n - 2]->kind != PICKLE_TEXT)
		return broken(m, "names a global by no text");
	m->n -= 2;
	return name_global(m, m->stack[m->n]->text, m->stack[m->n + 1]->text);
}

static int call(struct machine *m)
{
	if (m->n < 2 || m->stack[m->n - 1]->kind != PICKLE_TUPLE || m->stack[m->n - 2]->kind != PICKLE_GLOBAL)
		return broken(m, "calls what is no global");
	m->n -= 2;
	struct pickle_value *v = m->host->call(m->host->ctx, (int)m->stack[m->n]->i, m->stack[m->n + 1], m->e);
	if (!v)
		return -1;
	m->values++;
	push(m, v);
	return 0;
}

static int persistent(struct machine *m)
{
	const struct pickle_value *id = top(m, PICKLE_TUPLE);

	if (!id)
		return broken(m, "has a persistent id that is no tuple");
	m->n--;
	struct pickle_value *v = m->host->persistent(m->host->ctx, id, m->e);
	if (!v)
		return -1;
	m->values++;
	push(m, v);
	return 0;
}

/* The attributes of a dict (an OrderedDict's _metadata) are left out. */
static int build(struct machine *m)
{
	if (m->n < 2 || m->stack[m->n - 2]->kind != PICKLE_DICT || m->stack[m->n - 1]->kind == PICKLE_MARK)
		return broken(m, "sets attributes of what is no dict");
	m->n--;
	return 0;
}

static int pop(struct machine *m, bool mark)
{
	size_t to = mark ? behind_mark(m) : m->n;

	if (to == SIZE_MAX || to == 0)
		return broken(m, "takes more than there is");
	m->n = to - 1;
	return 0;
}

static int marked_tuple(struct machine *m)
{
	size_t from = behind_mark(m);

	if (from == SIZE_MAX)
		return broken(m, "has no mark");
	if (tuple(m, from) < 0)
		return -1;
	m->stack[from - 1] = m->stack[from]; /* in the mark's place */
	m->n = from;
	return 0;
}

static int stop(struct machine *m)
{
	m->done = m->n == 1 && m->stack[0]->kind != PICKLE_MARK;
	return m->done ? 0 : broken(m, "ends with another number of values than one");
}

static int unknown(struct machine *m, uint8_t op)
{
	if (m->c.failed)
		return err_set(m->e, "%s: a pickle that ends at byte %zu without its end", m->where, m->c.size);
	return err_set(m->e, "%s: its pickle does 0x%02x at byte %zu, which is no part of a file of tensors", m->where,
	               op, m->c.pos - 1);
}

static int make_marked(struct machine *m, enum pickle_kind kind)
{
	size_t from = behind_mark(m);

	if (from == SIZE_MAX || (kind == PICKLE_DICT && (m->n - from) % 2))
		return broken(m, "has no mark");
	struct pickle_value *v = pickle_new(m->mem, kind);
	m->values++;
	add_items(m, v, from);
	m->stack[from - 1] = v;
	return 0;
}

static int step(struct machine *m)
{
	uint8_t op = cursor_u8(&m->c);

	if (m->c.failed)
		return unknown(m, op);
	switch (op) {
	case 0x80: cursor_u8(&m->c); return 0;                                    /* PROTO */
	case 0x95: cursor_u64(&m->c); return 0;                                   /* FRAME */
	case '(': make(m, PICKLE_MARK); return 0;
	case '.': return stop(m);
	case '0': return pop(m, false);
	case '1': return pop(m, true);
	case 'N': make(m, PICKLE_NONE); return 0;
	case 0x88: return truth(m, true);
	case 0x89: return truth(m, false);
	case 'J': return integer(m, (int32_t)cursor_u32(&m->c));                  /* BININT */
	case 'K': return integer(m, cursor_u8(&m->c));
	case 'M': return integer(m, cursor_u16(&m->c));
	case 0x8a: return long_integer(m, cursor_u8(&m->c));                      /* LONG1 */
	case 'G': return real(m);
	case 'X': case 'T': case 'B': return text(m, cursor_u32(&m->c));          /* BINUNICODE, BINSTRING, BINBYTES */
	case 0x8c: case 'U': case 'C': return text(m, cursor_u8(&m->c));          /* SHORT_… */
	case 0x8d: return text(m, cursor_u64(&m->c));
	case '}': make(m, PICKLE_DICT); return 0;
	case ']': make(m, PICKLE_LIST); return 0;
	case 'd': return make_marked(m, PICKLE_DICT);
	case 'l': return make_marked(m, PICKLE_LIST);
	case ')': make(m, PICKLE_TUPLE); return 0;
	case 't': return marked_tuple(m);
	case 0x85: case 0x86: case 0x87: return tuple(m, m->n - (size_t)(op - 0x84)); /* TUPLE1 … 3 */
	case 'a': return take_few(m, PICKLE_LIST, 1);
	case 'e': return take_marked(m, PICKLE_LIST);
	case 's': return take_few(m, PICKLE_DICT, 2);
	case 'u': return take_marked(m, PICKLE_DICT);
	case 'q': return remember(m, cursor_u8(&m->c));
	case 'r': return remember(m, cursor_u32(&m->c));
	case 0x94: return remember(m, m->memo_n);                                 /* MEMOIZE */
	case 'h': return recall(m, cursor_u8(&m->c));
	case 'j': return recall(m, cursor_u32(&m->c));
	case 'c': return global(m);
	case 0x93: return stack_global(m);
	case 'R': return call(m);
	case 'Q': return persistent(m);
	case 'b': return build(m);
	default: return unknown(m, op);
	}
}

int pickle_read(struct arena *mem, const void *data, size_t size, const struct pickle_host *host, const char *where,
                struct pickle_value **out, size_t *used, struct err *e)
{
	struct machine m = { .mem = mem, .c = cursor_make(data, size), .host = host, .where = where, .e = e };
	int status = 0;

	while (status == 0 && !m.done) {
		status = step(&m);
		if (status == 0 && m.c.failed)
			status = unknown(&m, 0);
		if (status == 0 && (m.values > VALUES_MAX || m.n > VALUES_MAX))
			status = err_set(e, "%s: a pickle of more than %d values", where, VALUES_MAX);
	}
	if (status == 0) {
		*out = m.stack[0];
		*used = m.c.pos;
	}
	mem_free(m.stack);
	mem_free(m.memo);
	return status;
}
