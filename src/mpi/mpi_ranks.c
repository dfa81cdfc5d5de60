/* mpi_ranks: ranks (train/ranks.h) that are processes started by mpirun. A shared object of its own, kungfu-mpi.so,
 * which the program opens only there (cmd/ranks_start.c), so that no other start pays for it.
 *
 * One thread, the carrier, makes every call of MPI. Others hand it transfers in a list and wait for a condition; while
 * the process computes, the carrier looks at what is under way every tenth of a millisecond, which is what moves
 * messages meanwhile; while somebody waits, without a pause but giving way. A message is at most two of MPI's: whole
 * mebibytes and the rest, since MPI counts in int.
 *
 * MPI tells nobody that a process has stopped or that its machine is gone. So every rank sends rank 0 a byte each
 * second, and rank 0 one to all: who has been silent for longer than the timeout is named, and the run is over. A time
 * in which this process itself stood still is nobody's silence. A process that dies is noticed by mpirun, which ends
 * the others and names it.
 *
 * What it does not do: go on with fewer ranks. */
#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "train/ranks.h"

enum { UNIT = 1 << 20, NAME = 128, BEAT_TAG = 30000, TAGS = BEAT_TAG };
static const double beat_seconds = 1, word_seconds = 5;

/* A byte now and then, to one rank or from it. */
struct beat { MPI_Request in, out; char byte[2]; double heard; };

struct carrier {
	struct ranks ranks;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t moved, called;  /* something is over; the carrier has something to do */
	struct rank_transfer *fresh, **fresh_end, *live;
	int waiting;                   /* threads that wait */
	bool open, closing, failed;
	bool stopped;                  /* somebody is lost, and no transfer is looked at any more */
	struct err lost;               /* "" while all are there */
	int lost_rank;
	char (*names)[NAME];           /* "rank 2 (process 123 on host)" */
	struct beat *beats;            /* [size] */
	double last_beat, last_turn;
	MPI_Datatype unit;
};

static struct carrier *carrier_of(struct ranks *r) { return r->own; }

/* --- what others call --- */

static void begin(struct ranks *r, struct rank_transfer *x)
{
	struct carrier *c = carrier_of(r);

	x->next = NULL;
	x->own[0] = x->own[1] = MPI_REQUEST_NULL;
	pthread_mutex_lock(&c->lock);
	x->left = 1;
	*c->fresh_end = x;
	c->fresh_end = &x->next;
	pthread_cond_signal(&c->called);
	pthread_mutex_unlock(&c->lock);
}

static int wait_for(struct ranks *r, struct rank_transfer *x, struct err *e)
{
	struct carrier *c = carrier_of(r);

	pthread_mutex_lock(&c->lock);
	c->waiting++;
	pthread_cond_signal(&c->called);
	while (x->left && !c->stopped)
		pthread_cond_wait(&c->moved, &c->lock);
	c->waiting--;
	if (x->left)
		*e = c->lost;
	int status = x->left ? -1 : 0;
	pthread_mutex_unlock(&c->lock);
	return status;
}

/* --- the carrier's --- */

static void lose(struct carrier *c, int rank, const char *what)
{
	pthread_mutex_lock(&c->lock);
	if (!c->lost.msg[0]) {
		c->lost_rank = rank;
		snprintf(c->lost.msg, sizeof(c->lost.msg), "%s %s; the run goes on from its last checkpoint, with "
		         "kungfu resume", c->names[rank], what);
	}
	pthread_mutex_unlock(&c->lock);
}

static void check(struct carrier *c, int status, int peer)
{
	char text[MPI_MAX_ERROR_STRING], what[MPI_MAX_ERROR_STRING + 40];
	int n = 0;

	if (status == MPI_SUCCESS)
		return;
	MPI_Error_string(status, text, &n);
	snprintf(what, sizeof(what), "cannot be reached (%.*s)", n, text);
	lose(c, peer, what);
}

static void post(struct carrier *c, struct rank_transfer *x)
{
	int units = (int)(x->bytes / UNIT), rest = (int)(x->bytes % UNIT), tag = x->tag % TAGS;
	char *tail = (char *)x->data + (size_t)units * UNIT;
	MPI_Request request[2] = { MPI_REQUEST_NULL, MPI_REQUEST_NULL };

	if (units)
		check(c, x->receives ? MPI_Irecv(x->data, units, c->unit, x->peer, tag, MPI_COMM_WORLD, &request[0]) :
		                       MPI_Isend(x->data, units, c->unit, x->peer, tag, MPI_COMM_WORLD, &request[0]),
		      x->peer);
	if (rest)
		check(c, x->receives ? MPI_Irecv(tail, rest, MPI_BYTE, x->peer, tag, MPI_COMM_WORLD, &request[1]) :
		                       MPI_Isend(tail, rest, MPI_BYTE, x->peer, tag, MPI_COMM_WORLD, &request[1]),
		      x->peer);
	x->own[0] = request[0];
	x->own[1] = request[1];
	x->next = c->live;
	c->live = x;
}

static bool is_over(struct carrier *c, struct rank_transfer *x)
{
	MPI_Request request[2] = { x->own[0], x->own[1] };
	bool over = true;

	for (int i = 0; i < 2; i++) {
		int done = 1;
		if (request[i] != MPI_REQUEST_NULL)
			check(c, MPI_Test(&request[i], &done, MPI_STATUS_IGNORE), x->peer);
		over &= done;
		x->own[i] = request[i];
	}
	return over;
}

/* Whether there was anything to look at. */
static bool move(struct carrier *c)
{
	pthread_mutex_lock(&c->lock);
	struct rank_transfer *fresh = c->fresh, **at = &c->live;
	c->fresh = NULL;
	c->fresh_end = &c->fresh;
	pthread_mutex_unlock(&c->lock);
	while (fresh) {
		struct rank_transfer *next = fresh->next;
		post(c, fresh);
		fresh = next;
	}
	bool any = c->live != NULL;
	while (*at) {
		struct rank_transfer *x = *at;
		if (!is_over(c, x)) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		c->beats[x->peer].heard = c->last_turn;
		pthread_mutex_lock(&c->lock);
		x->left = 0;
		pthread_cond_broadcast(&c->moved);
		pthread_mutex_unlock(&c->lock);
	}
	return any;
}

static void listen_to(struct carrier *c, int k)
{
	struct beat *b = &c->beats[k];

	check(c, MPI_Irecv(&b->byte[0], 1, MPI_BYTE, k, BEAT_TAG, MPI_COMM_WORLD, &b->in), k);
}

static bool is_heard(const struct carrier *c, int k) { return k != c->ranks.rank && (!k || !c->ranks.rank); }

static void send_beats(struct carrier *c)
{
	int gone = 0;

	for (int k = 0; k < c->ranks.size; k++) {
		struct beat *b = &c->beats[k];
		if (!is_heard(c, k))
			continue;
		MPI_Test(&b->out, &gone, MPI_STATUS_IGNORE);
		if (gone)
			check(c, MPI_Isend(&b->byte[1], 1, MPI_BYTE, k, BEAT_TAG, MPI_COMM_WORLD, &b->out), k);
	}
}

static void beat(struct carrier *c)
{
	double now = clock_seconds(), gap = now - c->last_turn, timeout = c->ranks.timeout;
	char what[80];

	c->last_turn = now;
	if (now - c->last_beat >= beat_seconds) {
		c->last_beat = now;
		send_beats(c);
	}
	for (int k = 0; k < c->ranks.size; k++) {
		struct beat *b = &c->beats[k];
		int came = 0;
		if (!is_heard(c, k))
			continue;
		check(c, MPI_Test(&b->in, &came, MPI_STATUS_IGNORE), k);
		if (came)
			listen_to(c, k);
		if (came || gap > timeout / 4)
			b->heard = now;
		if (timeout > 0 && now - b->heard > timeout) {
			snprintf(what, sizeof(what), "has been silent for %.0f seconds", now - b->heard);
			lose(c, k, what);
		}
	}
}

/* How long to the next look: not at all, a moment, or until somebody calls. */
static void rest(struct carrier *c, bool any)
{
	struct timespec moment = { 0, 100000 }, until;

	pthread_mutex_lock(&c->lock);
	bool busy = any && c->waiting, idle = !any && !c->fresh && !c->closing;
	if (idle) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 100000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&c->called, &c->lock, &until);
	}
	pthread_mutex_unlock(&c->lock);
	if (busy)
		sched_yield();
	else if (!idle)
		nanosleep(&moment, NULL);
}

static void name_all(struct carrier *c)
{
	char host[64] = "?", mine[NAME];
	struct ranks *r = &c->ranks;

	gethostname(host, sizeof(host) - 1);
	snprintf(mine, sizeof(mine), "rank %d (process %d on %s)", r->rank, (int)getpid(), host);
	MPI_Allgather(mine, NAME, MPI_BYTE, c->names, NAME, MPI_BYTE, MPI_COMM_WORLD);
}

static void open_all(struct carrier *c)
{
	int level;

	MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	MPI_Comm_rank(MPI_COMM_WORLD, &c->ranks.rank);
	MPI_Comm_size(MPI_COMM_WORLD, &c->ranks.size);
	MPI_Type_contiguous(UNIT, MPI_BYTE, &c->unit);
	MPI_Type_commit(&c->unit);
	c->names = mem_array((size_t)c->ranks.size, sizeof(*c->names));
	c->beats = mem_array((size_t)c->ranks.size, sizeof(*c->beats));
	name_all(c);
	c->last_beat = c->last_turn = clock_seconds();
	for (int k = 0; k < c->ranks.size; k++) {
		c->beats[k] = (struct beat){ .in = MPI_REQUEST_NULL, .out = MPI_REQUEST_NULL, .heard = c->last_turn };
		if (is_heard(c, k))
			listen_to(c, k);
	}
	pthread_mutex_lock(&c->lock);
	c->open = true;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

/* Who is not the one to say what has happened leaves that one the time. */
static void end_all(struct carrier *c)
{
	int speaker = c->lost_rank == 0 && c->lost.msg[0] ? 1 : 0;

	if (c->failed && c->ranks.rank != speaker)
		sleep((unsigned)word_seconds);
	if (c->failed)
		MPI_Abort(MPI_COMM_WORLD, 1);
	for (int k = 0; k < c->ranks.size; k++)
		if (c->beats[k].in != MPI_REQUEST_NULL) {
			MPI_Cancel(&c->beats[k].in);
			MPI_Request_free(&c->beats[k].in);
		}
	MPI_Finalize(); /* what nobody waits for may be under way still: an answer that came too late */
}

static bool goes_on(struct carrier *c)
{
	pthread_mutex_lock(&c->lock);
	bool on = !c->closing && !c->lost.msg[0];
	pthread_mutex_unlock(&c->lock);
	return on;
}

/* Somebody is lost: who waits is told so, and may give his memory back, as nothing is moved any more. */
static void stop(struct carrier *c)
{
	pthread_mutex_lock(&c->lock);
	c->stopped = true;
	pthread_cond_broadcast(&c->moved);
	while (!c->closing)
		pthread_cond_wait(&c->called, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

static void *carry(void *of)
{
	struct carrier *c = of;

	open_all(c);
	while (goes_on(c)) {
		beat(c);
		rest(c, move(c));
	}
	if (c->lost.msg[0])
		stop(c);
	end_all(c);
	return NULL;
}

static void close_carrier(struct ranks *r, bool failed)
{
	struct carrier *c = carrier_of(r);

	pthread_mutex_lock(&c->lock);
	c->closing = true;
	c->failed = failed;
	pthread_cond_signal(&c->called);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
}

static const struct ranks_row row = { .name = "MPI", .begin = begin, .wait = wait_for, .close = close_carrier };

/* The one that the program calls. bytes: its size of struct ranks, so that two builds are told apart. The ranks live as
 * long as the process. */
__attribute__((visibility("default"))) int kungfu_ranks_open(struct ranks **out, size_t bytes, double timeout,
                                                             struct err *e);
int kungfu_ranks_open(struct ranks **out, size_t bytes, double timeout, struct err *e)
{
	struct carrier *c = mem_alloc(sizeof(*c));

	if (bytes != sizeof(struct ranks))
		return err_set(e, "kungfu-mpi.so is of another version of the program");
	c->fresh_end = &c->fresh;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->moved, NULL);
	pthread_cond_init(&c->called, NULL);
	c->ranks.row = &row;
	c->ranks.own = c;
	c->ranks.timeout = timeout;
	if (pthread_create(&c->thread, NULL, carry, c))
		return err_set(e, "no thread for messages could be made");
	pthread_mutex_lock(&c->lock);
	while (!c->open)
		pthread_cond_wait(&c->moved, &c->lock);
	pthread_mutex_unlock(&c->lock);
	ranks_init(&c->ranks);
	*out = &c->ranks;
	return 0;
}
