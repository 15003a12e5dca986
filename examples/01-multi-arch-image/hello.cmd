@echo off
rem What the Windows image runs: greet, say where this runs and which job built it.
echo %GREETING%: Windows/%PROCESSOR_ARCHITECTURE%
type C:\app\built-by.txt
