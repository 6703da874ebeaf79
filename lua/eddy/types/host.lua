---@meta
-- SPDX-License-Identifier: MIT
--
-- What csrc/host/events.c gives to scripts, for editors and the language server. Nothing loads this file.
-- luacheck: ignore 212 241 (declarations have no bodies)

---@class eddy
local eddy = {}

--- Wait for the host's next frame, or for one phase of it (0 to 15). Raises where no host makes frames.
---@async
---@param phase integer?  default 0
---@return number seconds  how long the frame is, as the host says
function eddy.frame(phase) end

return eddy
