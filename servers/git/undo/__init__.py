"""Operations that can be taken back, byte for byte."""
