/* x86_avx512amxint8: the int8 product on the tiles of AMX-INT8, from 16 rows on.
 *
 * A tile of 16 rows of activations, where they lie, times one of a panel's block, expanded once for all rows: 16 × 16
 * integers in one instruction of 16 cycles, where VNNI takes 128. They go through the nearest cache to what makes
 * numbers of them (int8_512.h), so the bits are VNNI's, which takes the rows that are left, and
 * forms with halves: with two products a block they are not faster here.
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

/* Tile 0: integers; 1: activations; 2: the panel's. */
INLINE void begin(void)
{
	struct tile_config c = {
		.palette = 1, .rows = { ROWS, ROWS, GROUPS }, .bytes = { LINE, PANEL_BLOCK, LINE }
	};

	tiles_begin(&c);
}

/* n = the block's integers; b: its groups, a line each. */
INLINE void integers(const uint8_t *b, const int8_t *a, size_t a_ld, int32_t n[ROWS][PANEL_ROWS])
{
	SETTLED();
	_tile_loadd(2, b, LINE);
	_tile_loadd(1, a, a_ld);
	_tile_zero(0);
	_tile_dpbsud(0, 1, 2);
	_tile_stored(0, n, LINE);
	SETTLED();
}

/* A panel's groups as bytes, a line each: where they lie, or `bytes`. */
INLINE const uint8_t *groups_of(const enum dtype t, const uint8_t *panel, size_t from, size_t blocks,
                                __m512i bytes[BLOCKS][GROUPS])
{
	for (size_t j = 0; j < blocks && !panel_is_byte(t); j++)
		expand(t, panel + panel_block_at(t, from + j), bytes[j]);
	return panel_is_byte(t) ? panel + panel_block_at(t, from) + panel_q_at(t) : (const uint8_t *)bytes;
}

/* Blocks from … from + blocks − 1 of 16 rows; a, b: of the first. */
INLINE void tile(const enum dtype t, __mmask16 columns, size_t from, size_t blocks, const uint8_t *a, size_t a_ld,
                 const uint8_t *panel, const uint8_t *b, float *c, size_t ldc)
{
	int32_t n[ROWS][PANEL_ROWS] __attribute__((aligned(LINE)));
	__m512 sum[ROWS];

	UNROLL(16)
	for (size_t i = 0; i < ROWS; i++)
		sum[i] = from ? _mm512_maskz_loadu_ps(columns, c + i * ldc) : _mm512_setzero_ps();
	for (size_t j = from; j < from + blocks; j++, a += KERNEL_Q8_BYTES) {
		integers(b, ((const struct q8_block *)(const void *)a)->q, a_ld, n);
		struct scales w = scales_of(t, panel + panel_head_at(t, j), panel + panel_block_at(t, j));
		UNROLL(16)
		for (size_t i = 0; i < ROWS; i++)
			sum[i] = share_add(t, _mm512_load_si512(n[i]), _mm512_setzero_si512(), &w,
			                   (const void *)(a + i * a_ld), sum[i]);
		b += panel_is_byte(t) ? panel_block_at(t, j + 1) - panel_block_at(t, j) : GROUPS * LINE;
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
			const uint8_t *b = groups_of(t, panel, from, blocks, bytes);
			for (size_t i = 0; i < whole; i += ROWS)
				tile(t, columns, from, blocks, a + i * a_ld + from * KERNEL_Q8_BYTES, a_ld, panel, b,
				     c + i * ldc, ldc);
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
