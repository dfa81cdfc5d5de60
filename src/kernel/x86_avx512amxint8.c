/* x86_avx512amxint8: the int8 product on the tiles of AMX-INT8, from 16 rows on.
 *
 * A tile of 16 rows of activations, where they lie, times one of a panel's block, expanded once for all rows: 16 × 16
 * integers in one instruction of 16 cycles, where VNNI takes 128. They go through the nearest cache to what makes
 * numbers of them (int8_512.h), so the bits are VNNI's. VNNI takes the rows that are left, and forms with halves: with
 * two products a block they are not faster here.
 *
 * Linux grants tiles to a process that asks (ARCH_REQ_XCOMP_PERM), for all of its threads. A compiler without
 * -mamx-int8 makes a file of nothing. */
#include "kernel/kernels.h"

#ifdef __AMX_INT8__
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/int8_512.h"
#include "kernel/tiles.h"

enum { REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18 };
enum { ROWS = 16, BLOCKS = 48 /* whose bytes the nearest cache holds */ };

static void (*few)(enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const void *panel,
                   float *c, size_t ldc);

bool x86_amx_granted(void)
{
	return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

/* Two sets: integers, activations, the panel's. */
INLINE void begin(void)
{
	struct tile_config c = { .palette = 1,
		                 .rows = { ROWS, ROWS, GROUPS, ROWS, ROWS, GROUPS },
		                 .bytes = { LINE, PANEL_BLOCK, LINE, LINE, PANEL_BLOCK, LINE } };

	tiles_begin(&c);
}

#define INTEGERS(of_n, of_a, of_b) \
	do { \
		_tile_loadd(of_b, b, LINE); \
		_tile_loadd(of_a, a, a_ld); \
		_tile_zero(of_n); \
		_tile_dpbsud(of_n, of_a, of_b); \
		_tile_stored(of_n, n, LINE); \
	} while (0)

/* n = the block's integers. */
INLINE void integers(bool second, const __m512i b[GROUPS], const int8_t *a, size_t a_ld, int32_t n[ROWS][PANEL_ROWS])
{
	SETTLED();
	if (second)
		INTEGERS(3, 4, 5);
	else
		INTEGERS(0, 1, 2);
	SETTLED();
}

static const int8_t *numbers_of(const uint8_t *a)
{
	return ((const struct q8_block *)(const void *)a)->q;
}

/* Blocks from … from + blocks − 1 of 16 rows; a: of the first, b: of each its groups as bytes, a line each. The
 * integers of a block are on their way while those of the one before become numbers. */
INLINE void tile(const enum dtype t, __mmask16 columns, size_t from, size_t blocks, const uint8_t *a, size_t a_ld,
                 const uint8_t *panel, const __m512i b[][GROUPS], float *c, size_t ldc)
{
	int32_t n[2][ROWS][PANEL_ROWS] __attribute__((aligned(LINE)));
	const size_t last = from + blocks - 1;
	__m512 sum[ROWS];

	UNROLL(16)
	for (size_t i = 0; i < ROWS; i++)
		sum[i] = from ? _mm512_maskz_loadu_ps(columns, c + i * ldc) : _mm512_setzero_ps();
	integers(from % 2, b[0], numbers_of(a), a_ld, n[from % 2]);
	UNROLL(2)
	for (size_t j = from; j <= last; j++, a += KERNEL_Q8_BYTES) {
		struct scales w = scales_of(t, panel + panel_head_at(t, j), panel + panel_block_at(t, j));
		if (j < last)
			integers(j % 2 == 0, *++b, numbers_of(a + KERNEL_Q8_BYTES), a_ld, n[j % 2 == 0]);
		UNROLL(16)
		for (size_t i = 0; i < ROWS; i++)
			sum[i] = share_add(t, _mm512_load_si512(n[j % 2][i]), _mm512_setzero_si512(), &w,
			                   (const void *)(a + i * a_ld), sum[i]);
	}
	UNROLL(16)
	for (size_t i = 0; i < ROWS; i++)
		_mm512_mask_storeu_ps(c + i * ldc, columns, sum[i]);
}

INLINE void tiles(const enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const uint8_t *panel,
                  float *c, size_t ldc)
{
	const __mmask16 columns = (__mmask16)((1u << n) - 1);
	const size_t whole = panel_has_halves(t) ? 0 : m / ROWS * ROWS, all = k / PANEL_BLOCK;
	__m512i bytes[BLOCKS][GROUPS];

	if (whole) {
		begin();
		for (size_t from = 0, blocks; from < all; from += blocks) {
			blocks = all - from < BLOCKS ? all - from : BLOCKS;
			for (size_t j = 0; j < blocks; j++)
				expand(t, panel + panel_block_at(t, from + j), bytes[j]);
			for (size_t i = 0; i < whole; i += ROWS)
				tile(t, columns, from, blocks, a + i * a_ld + from * KERNEL_Q8_BYTES, a_ld, panel,
				     bytes, c + i * ldc, ldc);
		}
		_tile_release();
	}
	if (m > whole)
		few(t, m - whole, n, k, a + whole * a_ld, a_ld, panel, c + whole * ldc, ldc);
}

Q8_TILE(tiles)

void x86_avx512amxint8_install(struct kernels *k)
{
	few = k->q8_tile;
	k->q8_tile = q8_tile;
}
#else
bool x86_amx_granted(void)
{
	return false;
}

void x86_avx512amxint8_install(struct kernels *k)
{
	(void)k;
}
#endif
