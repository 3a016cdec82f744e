# screen.S: boot sector, 800x600 in true colour, changes one pixel 100 times a second with hlt between (~0 % CPU), so
# that QEMU's VNC server keeps its quickest pace; build like tests/lab/idle.S
.code16
.globl _start
_start:
  ljmp $0, $1f
1: xorw %ax,%ax; movw %ax,%ds; movw %ax,%ss; movw $0x7c00,%sp
  movw $0x4f02,%ax; movw $0x0115,%bx; int $0x10   # VESA 800x600, banked at a000
  movb $0x34,%al; outb %al,$0x43                  # timer 0: 1193182 Hz / 11932
  movb $0x9c,%al; outb %al,$0x40
  movb $0x2e,%al; outb %al,$0x40
  movw $0xa000,%ax; movw %ax,%es
  sti
2: hlt
  incl %es:0
  jmp 2b
.org 510
.word 0xaa55
