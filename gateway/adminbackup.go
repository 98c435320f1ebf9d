package gateway

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// backup is GET /api/v1/backup: the books, as they are now. A backup that breaks off
// ends with an aborted body, and lacks its end.
func (g *Gateway) backup(c echo.Context) error {
	w := c.Response()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="recoup-books-%s.backup"`, time.Now().UTC().Format("20060102T150405Z")))
	head, err := g.books.Ledger.Backup(c.Request().Context(), w)
	switch {
	case err == nil:
		g.logger.Info("the books were backed up", "entries", head.Seq, "head", head.String())
		return nil
	case c.Request().Context().Err() != nil: // nobody is there to be told
	default:
		g.logger.Error("the books could not be backed up", "error", err)
	}
	if w.Committed {
		return abort(c)
	}
	return &httpError{status: http.StatusInternalServerError, code: "backup_failed", message: "The books can't be backed up: " + err.Error()}
}
